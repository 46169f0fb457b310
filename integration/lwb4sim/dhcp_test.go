package lwb4sim

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

func homes(count int, relayed bool) DHCPPopulation {
	p := DHCPPopulation{Count: count, Seed: 7}
	if relayed {
		p.Relay, p.Server = netip.MustParseAddr("2001:db8:fffe::2"), netip.MustParseAddr("2001:db8:fffe::1")
	}
	return p
}

// withDHCP runs a fleet and a server in a bubble while f looks on.
func withDHCP(t *testing.T, config DHCPConfig, f func(ctx context.Context, fleet *Fleet, server *dhcpScript)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := newDHCPScript()
		create := func(link Link) (*Fleet, error) { return NewDHCPFleet(link, config) }
		inBubble(t, create, server.reply, func(ctx context.Context, fleet *Fleet) { f(ctx, fleet, server) })
	})
}

// TestDHCPFleet: over a bad way every lwB4 gets a prefix and a softwire, keeps
// them, and gets over a server that loses its state.
func TestDHCPFleet(t *testing.T) {
	const count = 100
	for name, population := range map[string]DHCPPopulation{
		"direct":       homes(count, false),
		"relayed":      homes(count, true),
		"rapid commit": {Count: count, RapidCommit: true},
	} {
		t.Run(name, func(t *testing.T) {
			config := DHCPConfig{Population: population, Impairment: bad, Begin: 10 * time.Second}
			withDHCP(t, config, func(ctx context.Context, fleet *Fleet, server *dhcpScript) {
				all := func(c Counts) bool { return c.Held == count }
				await(t, ctx, fleet, time.Hour, all)
				if err := Check(fleet.Holdings()); err != nil {
					t.Fatal(err)
				}
				c := fleet.Counts()
				if c.Up.Lost == 0 || c.Up.Duplicated == 0 || c.Up.Late == 0 || c.Requests <= count || c.Strays != 0 || c.Unsent != 0 {
					t.Fatalf("%+v", c)
				}
				if requests := server.count(dhcpv6.MessageTypeRequest); (requests == 0) != population.RapidCommit {
					t.Fatalf("%d of Request", requests)
				}
				// Renewals, with all that is lost, keep each of them.
				time.Sleep(12 * time.Hour)
				if c := fleet.Counts(); c.Held != count || c.Moved != 0 || c.Lost != 0 || c.Refused != 0 {
					t.Fatalf("after half a day %+v", c)
				}
				server.lose()
				await(t, ctx, fleet, 2*time.Hour, func(c Counts) bool { return server.held() == count && c.Held == count })
				if c := fleet.Counts(); c.Resets != count {
					t.Fatalf("after the loss %+v", c)
				}
			})
		})
	}
}

// TestDHCPWithoutServer: lwB4s ask to renew, then anybody, then lose what they
// hold, and get it back.
func TestDHCPWithoutServer(t *testing.T) {
	const count = 20
	withDHCP(t, DHCPConfig{Population: homes(count, true)}, func(ctx context.Context, fleet *Fleet, server *dhcpScript) {
		all := func(c Counts) bool { return c.Held == count }
		await(t, ctx, fleet, time.Minute, all)
		server.rule(dhcpRules{down: true})
		time.Sleep(dhcpValid * 7 / 10)
		if server.count(dhcpv6.MessageTypeRenew) < count || server.count(dhcpv6.MessageTypeRebind) != 0 {
			t.Fatal("no renewals, or others")
		}
		time.Sleep(dhcpValid * 2 / 10)
		if c := fleet.Counts(); server.count(dhcpv6.MessageTypeRebind) < count || c.Held != count {
			t.Fatalf("%+v", c)
		}
		await(t, ctx, fleet, dhcpValid, func(c Counts) bool { return c.Held == 0 && c.Lost == count })
		server.rule(dhcpRules{})
		await(t, ctx, fleet, time.Hour, all)
		if c := fleet.Counts(); c.Moved != 0 {
			t.Fatalf("%+v", c)
		}
	})
}

// TestDHCPWithoutSoftwire: a prefix alone is a prefix, and asked about again soon.
func TestDHCPWithoutSoftwire(t *testing.T) {
	const count = 5
	withDHCP(t, DHCPConfig{Population: homes(count, true)}, func(ctx context.Context, fleet *Fleet, server *dhcpScript) {
		server.rule(dhcpRules{noSoftwire: true})
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Refused == count })
		for _, h := range fleet.Holdings() {
			if h.Held || !h.Prefix.IsValid() || h.Err == nil {
				t.Fatalf("%+v", h)
			}
		}
		if err := Check(fleet.Holdings()); err == nil {
			t.Fatal("Check takes it for a softwire")
		}
		server.rule(dhcpRules{})
		await(t, ctx, fleet, 90*time.Second, func(c Counts) bool { return c.Held == count && c.Refused == 0 })
		server.rule(dhcpRules{noSoftwire: true})
		await(t, ctx, fleet, dhcpValid, func(c Counts) bool { return c.Held == 0 && c.Lost == count })
	})
}

// TestDHCPNoticesSharing: Check finds prefixes and port sets that several lwB4s
// hold, and an answer with two prefixes is none.
func TestDHCPNoticesSharing(t *testing.T) {
	withDHCP(t, DHCPConfig{Population: homes(3, true)}, func(ctx context.Context, fleet *Fleet, server *dhcpScript) {
		server.rule(dhcpRules{shared: true})
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 3 })
		err := Check(fleet.Holdings())
		if err == nil || strings.Count(err.Error(), "both have ports of") != 2 || strings.Count(err.Error(), "both have addresses of") != 2 {
			t.Fatalf("Check says %v", err)
		}
	})
	withDHCP(t, DHCPConfig{Population: homes(3, true)}, func(ctx context.Context, fleet *Fleet, server *dhcpScript) {
		server.rule(dhcpRules{twice: true})
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Refused == 3 })
	})
}

func TestDHCPReleaseAndRestart(t *testing.T) {
	withDHCP(t, DHCPConfig{Population: homes(2, true)}, func(ctx context.Context, fleet *Fleet, server *dhcpScript) {
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 2 })
		before := fleet.Holdings()
		if err := fleet.Release(0); err != nil {
			t.Fatal(err)
		}
		fleet.Restart(1)
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 1 && server.held() == 1 })
		if after := fleet.Holdings(); after[0].Held || after[1] != before[1] {
			t.Fatalf("%+v", after)
		}
		if c := fleet.Counts(); c.Lost != 0 || c.Moved != 0 {
			t.Fatalf("%+v", c)
		}
		// The script gives who comes back something else.
		fleet.Restart(0)
		await(t, ctx, fleet, time.Minute, func(c Counts) bool { return c.Held == 2 && c.Moved == 1 })
	})
}

func TestNewDHCPFleetRefuses(t *testing.T) {
	for name, edit := range map[string]func(*DHCPConfig){
		"nobody":                 func(c *DHCPConfig) { c.Population.Count = 0 },
		"more than hardware":     func(c *DHCPConfig) { c.Population.Count = 1<<24 + 1 },
		"relay without a server": func(c *DHCPConfig) { c.Population.Server = netip.Addr{} },
		"IPv4 relay":             func(c *DHCPConfig) { c.Population.Relay = netip.IPv4Unspecified() },
		"loss above 1":           func(c *DHCPConfig) { c.Impairment.Loss = 1.1 },
		"negative timing":        func(c *DHCPConfig) { c.Timing.Initial = -1 },
	} {
		config := DHCPConfig{Population: homes(2, true)}
		edit(&config)
		if _, err := NewDHCPFleet(nil, config); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
