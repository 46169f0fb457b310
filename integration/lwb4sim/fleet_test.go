package lwb4sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func people(count int, inSoftwire bool) Population {
	return Population{
		Count: count, First: netip.MustParseAddr("2001:db8:1000::1"), PrefixBits: 56,
		BR: netip.MustParseAddr("2001:db8:ff::1"), InSoftwire: inSoftwire,
		Ports: pcpmsg.AllPorts, Lifetime: time.Hour, Seed: 7,
	}
}

// bad is what the issue of chaos asks for.
var bad = Impairment{Loss: 0.2, Duplicate: 0.2, Late: 0.3, Delay: 500 * time.Millisecond}

// withFleet runs a fleet and a server in a bubble while f looks on.
func withFleet(t *testing.T, config FleetConfig, f func(ctx context.Context, fleet *Fleet, server *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := newScript()
		create := func(link Link) (*Fleet, error) { return NewFleet(link, config) }
		inBubble(t, create, server.reply, func(ctx context.Context, fleet *Fleet) { f(ctx, fleet, server) })
	})
}

// inBubble runs the fleet that create makes, and a server that replies, while f
// looks on.
func inBubble(t *testing.T, create func(Link) (*Fleet, error), reply func(*datagram.Datagram) []byte, f func(context.Context, *Fleet)) {
	t.Helper()
	near, far := NewMemory(1 << 14)
	fleet, err := create(near)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { defer close(served); serve(ctx, far, reply) }()
	ended := make(chan error, 1)
	go func() { ended <- fleet.Run(ctx) }()
	f(ctx, fleet)
	cancel()
	<-served
	check(t, <-ended)
}

// serve sends what reply makes of each datagram on a link, or nothing for nil,
// until ctx ends.
func serve(ctx context.Context, link Link, reply func(*datagram.Datagram) []byte) {
	b := make([]byte, maxPacket)
	for {
		n, err := link.Receive(ctx, b)
		if err != nil {
			return
		}
		d, err := datagram.Parse(b[:n])
		if err != nil {
			continue
		}
		if payload := reply(&d); payload != nil {
			_ = link.Send(d.Reply(payload).Packet())
		}
	}
}

// await waits until all lwB4s hold something, for virtual minutes.
func await(t *testing.T, ctx context.Context, fleet *Fleet, limit time.Duration, ready func(Counts) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := fleet.Await(ctx, ready); err != nil {
		t.Fatal(err)
	}
}

// TestFleet: over a bad way every lwB4 gets a port set, keeps it, and gets over a
// server that loses its state.
func TestFleet(t *testing.T) {
	const count = 200
	all := func(c Counts) bool { return c.Held == count }
	for name, inSoftwire := range map[string]bool{"plain IPv6": false, "in the softwire": true} {
		t.Run(name, func(t *testing.T) {
			config := FleetConfig{Population: people(count, inSoftwire), Impairment: bad, Begin: 10 * time.Second}
			withFleet(t, config, func(ctx context.Context, fleet *Fleet, server *script) {
				await(t, ctx, fleet, 2*time.Hour, all)
				if err := Check(fleet.Holdings()); err != nil {
					t.Fatal(err)
				}
				c := fleet.Counts()
				if c.Up.Lost == 0 || c.Up.Duplicated == 0 || c.Up.Late == 0 || c.Down.Lost == 0 || c.Requests <= count {
					t.Fatalf("the way was not bad: %+v", c)
				}
				if c.Strays != 0 || c.Unsent != 0 || c.Moved != 0 || c.Resets != 0 {
					t.Fatalf("%+v", c)
				}
				if server.changed != count {
					t.Fatalf("%d changes for %d lwB4s", server.changed, count)
				}
				// Renewals, with all that is lost, keep each of them.
				time.Sleep(12 * time.Hour)
				if c := fleet.Counts(); c.Held != count || c.Moved != 0 || c.Lost != 0 {
					t.Fatalf("after half a day %+v", c)
				}
				// The next renewal says that the server lost its state.
				server.lose()
				await(t, ctx, fleet, 2*time.Hour, func(c Counts) bool { return server.held() == count && c.Resets >= count })
				if c := fleet.Counts(); c.Held != count {
					t.Fatalf("after the loss %+v", c)
				}
				if err := Check(fleet.Holdings()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestFleetWithoutServer: what a server that is away for too long costs.
func TestFleetWithoutServer(t *testing.T) {
	config := FleetConfig{Population: people(20, false)}
	withFleet(t, config, func(ctx context.Context, fleet *Fleet, server *script) {
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 20 })
		server.set(func(s *script) { s.down = true })
		await(t, ctx, fleet, 2*time.Hour, func(c Counts) bool { return c.Held == 0 && c.Lost == 20 })
		if err := Check(fleet.Holdings()); err == nil || strings.Count(err.Error(), "holds nothing") != 10 || !strings.Contains(err.Error(), "and 10 more") {
			t.Fatalf("Check says %v", err)
		}
		server.set(func(s *script) { s.down, s.refuse = false, pcpmsg.NoResources })
		await(t, ctx, fleet, time.Hour, func(c Counts) bool { return c.Refused == 20 })
		var refused client.ResultError
		if h := fleet.Holdings()[3]; !errors.As(h.Err, &refused) || refused.Result != pcpmsg.NoResources {
			t.Fatalf("%+v", h)
		}
		server.set(func(s *script) { s.refuse = pcpmsg.Success })
		await(t, ctx, fleet, time.Hour, func(c Counts) bool { return c.Held == 20 && c.Refused == 0 })
	})
}

// TestFleetNoticesSharing: Check finds a port set that two lwB4s hold.
func TestFleetNoticesSharing(t *testing.T) {
	withFleet(t, FleetConfig{Population: people(3, true)}, func(ctx context.Context, fleet *Fleet, server *script) {
		server.set(func(s *script) { s.shared = true })
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 3 })
		if err := Check(fleet.Holdings()); err == nil || strings.Count(err.Error(), "both have ports of 192.0.2.0") != 2 {
			t.Fatalf("Check says %v", err)
		}
	})
}

func TestReleaseAndRestart(t *testing.T) {
	config := FleetConfig{Population: people(2, false)}
	withFleet(t, config, func(ctx context.Context, fleet *Fleet, server *script) {
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 2 })
		before := fleet.Holdings()
		if err := fleet.Release(0); err != nil {
			t.Fatal(err)
		}
		fleet.Restart(1)
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 1 && server.held() == 1 })
		after := fleet.Holdings()
		if after[0].Held || !after[1].Held || after[1] != before[1] {
			t.Fatalf("%+v", after)
		}
		if c := fleet.Counts(); c.Lost != 0 || c.Moved != 0 {
			t.Fatalf("%+v", c)
		}
		if p := config.Population; p.nonce(1, 0) == p.nonce(1, 1) {
			t.Fatal("remembers its nonce")
		}
		fleet.Restart(0)
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 2 && server.held() == 2 })
		if c := fleet.Counts(); c.Moved != 0 {
			t.Fatalf("%+v", c)
		}
	})
}

func TestNewFleetRefuses(t *testing.T) {
	for name, edit := range map[string]func(*FleetConfig){
		"nobody":         func(c *FleetConfig) { c.Population.Count = 0 },
		"long prefixes":  func(c *FleetConfig) { c.Population.PrefixBits = 65 },
		"IPv4":           func(c *FleetConfig) { c.Population.First = netip.IPv4Unspecified() },
		"too many":       func(c *FleetConfig) { c.Population.PrefixBits, c.Population.Count = 4, 100 },
		"no lifetime":    func(c *FleetConfig) { c.Population.Lifetime = 0 },
		"loss above 1":   func(c *FleetConfig) { c.Impairment.Loss = 1.1 },
		"negative delay": func(c *FleetConfig) { c.Impairment.Delay = -1 },
		"no real timing": func(c *FleetConfig) { c.Timing.Initial = 1 },
	} {
		config := FleetConfig{Population: people(2, false)}
		edit(&config)
		if _, err := NewFleet(nil, config); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestCheck(t *testing.T) {
	v4 := netip.MustParseAddr("192.0.2.1")
	holding := func(text string) Holding {
		set, err := portset.ParsePortSet(text)
		if err != nil {
			t.Fatal(err)
		}
		return Holding{Held: true, IPv4: v4, PortSet: set}
	}
	home := func(prefix string, psid uint16) Holding {
		h := holding(fmt.Sprintf("0/6/%d", psid))
		h.Prefix = netip.MustParsePrefix(prefix)
		return h
	}
	for name, test := range map[string]struct {
		holdings []Holding
		problems int
	}{
		"neighbours":       {[]Holding{holding("0/6/2"), holding("0/6/1"), holding("0/6/3")}, 0},
		"the same":         {[]Holding{holding("0/6/2"), holding("0/6/2")}, 1},
		"one in the other": {[]Holding{holding("0/6/3"), holding("0/5/1")}, 1},
		"several in one":   {[]Holding{holding("0/7/4"), holding("0/7/5"), holding("0/5/1")}, 2},
		"one in a whole":   {[]Holding{holding("0/0/0"), holding("0/6/2")}, 1},
		"prefixes":         {[]Holding{home("2001:db8:0:100::/56", 1), home("2001:db8::/56", 2)}, 0},
		"one prefix":       {[]Holding{home("2001:db8::/56", 1), home("2001:db8::/56", 2)}, 1},
		"nested prefixes":  {[]Holding{home("2001:db8:0:1::/64", 1), home("2001:db8::/56", 2), home("2001:db8:0:2::/64", 3)}, 2},
		"nothing":          {[]Holding{{}}, 1},
	} {
		err := Check(test.holdings)
		got := 0
		if err != nil {
			got = strings.Count(err.Error(), "\n") + 1
		}
		if got != test.problems {
			t.Errorf("%s: %d problems, want %d: %v", name, got, test.problems, err)
		}
	}
}
