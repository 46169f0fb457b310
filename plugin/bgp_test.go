package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/bgp"
	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// testSpeakers remember what peers have.
type testSpeakers struct {
	mu      sync.Mutex
	set     []announce.Announcement
	changed chan struct{} // closed at the next Set
}

func newTestSpeakers() *testSpeakers { return &testSpeakers{changed: make(chan struct{})} }

func (s *testSpeakers) ForwardingPreserved() {}

func (s *testSpeakers) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (s *testSpeakers) Stats() []bgp.PeerStats {
	return []bgp.PeerStats{{Name: "core", State: "active", Error: "nobody answers"}}
}

func (s *testSpeakers) Set(_ context.Context, all []announce.Announcement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = all
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// has waits until peers have exactly these prefixes; one that drains ends with !.
func (s *testSpeakers) has(t *testing.T, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		s.mu.Lock()
		var got []string
		for _, a := range s.set {
			mark := ""
			if a.Drain {
				mark = "!"
			}
			got = append(got, a.Prefix.String()+mark)
		}
		changed := s.changed
		s.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("peers have %q, want %q", got, want)
		}
	}
}

// announcingConfig is testConfig with a peer.
func announcingConfig(dir string) Config {
	c := testConfig(dir)
	c.BGP.RouterID, c.BGP.AS = netip.MustParseAddr("203.0.113.1"), 64500
	peer := bgp.Peer{Name: "core", Address: netip.MustParseAddr("2001:db8:fe::2"), AS: 64501, NextHopIPv4: netip.MustParseAddr("203.0.113.1")}
	peer.SetDefaults()
	c.BGP.Peers = []bgp.Peer{peer}
	c.BGP.Announce.StateFile = filepath.Join(dir, "announce.json")
	c.BGP.Announce.HoldDown = 0
	return c
}

func withSpeakers(s Speakers) Option {
	return WithSpeakers(func(bgp.Config, logrus.FieldLogger) (Speakers, error) { return s, nil })
}

// TestAnnounces: what the router announces follows the data plane, reloads, pools
// that come and go, and drains; and the API tells.
func TestAnnounces(t *testing.T) {
	dp, speakers := newTestDataplane(), newTestSpeakers()
	dir := testFolder(t)
	c := announcingConfig(dir)
	c.Store.Path = filepath.Join(dir, "store")
	p := newPlugin(t, c, dp, withSpeakers(speakers))
	start(t, p)
	speakers.has(t, "192.0.2.0/24", "2001:db8:ffff::1/128")

	dp.SetState(dataplane.StateDown, "no link")
	speakers.has(t)
	dp.SetState(dataplane.StateUp, "")
	speakers.has(t, "192.0.2.0/24", "2001:db8:ffff::1/128")

	c.BGP.Announce.Aggregates = []netip.Prefix{netip.MustParsePrefix("2001:db8:ffff::/48")}
	if _, err := p.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	speakers.has(t, "192.0.2.0/24", "2001:db8:ffff::/48")
	other := c
	other.BGP.Announce.HoldDown = 1
	var bad *ConfigError
	if _, err := p.Reload(t.Context(), other); !errors.As(err, &bad) {
		t.Errorf("a reload of what is fixed: %v", err)
	}

	more := pool.Pool{
		Name: "q", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		PSIDLen: 6, BR: netip.MustParseAddr("2001:db8:fffe::1"),
	}
	if err := p.AddPool(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	speakers.has(t, "192.0.2.0/24", "198.51.100.0/24", "2001:db8:fffe::1/128", "2001:db8:ffff::/48")
	run, err := p.present()
	if err != nil {
		t.Fatal(err)
	}
	api := announcing{run.gate, run.speakers}
	if err := api.Drain([]string{"q"}); err != nil {
		t.Fatal(err)
	}
	speakers.has(t, "192.0.2.0/24", "198.51.100.0/24!", "2001:db8:fffe::1/128!", "2001:db8:ffff::/48")
	shown, err := api.BGP(t.Context())
	if err != nil || len(shown.Pools) != 2 || shown.Pools[1].State != "draining" || len(shown.Routes) != 4 || len(shown.Peers) != 1 {
		t.Errorf("shown %+v, %v", shown, err)
	}
	if err := p.RemovePool(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	speakers.has(t, "192.0.2.0/24", "2001:db8:ffff::/48")
	status, err := p.view(run).Status.Status(t.Context())
	if err != nil || !slices.Contains(status.Problems, "BGP peer core is active: nobody answers") {
		t.Errorf("problems %q, %v", status.Problems, err)
	}
	if s := p.Stats(); s.Announce == nil || len(s.Announce.Routes) != 2 || len(s.Peers) != 1 {
		t.Errorf("stats %+v", s.Announce)
	}
}

// TestForwarded: packets count for the pool of their address, both ways, and a
// pool without any counts zero.
func TestForwarded(t *testing.T) {
	dp := newTestDataplane()
	c := testConfig(testFolder(t))
	c.Pools = append(c.Pools, pool.Pool{Name: "idle", Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, BR: c.Pools[0].BR})
	p := newPlugin(t, c, dp)
	row := func(ip string, to, from uint64) dataplane.SoftwireCounters {
		return dataplane.SoftwireCounters{
			Key:  softwire.Key{IPv4: netip.MustParseAddr(ip)},
			ToB4: dataplane.Traffic{Packets: to}, FromB4: dataplane.Traffic{Packets: from},
		}
	}
	dp.SetCounters(dataplane.Counters{Granularity: dataplane.PerAddress}, row("192.0.2.1", 1, 2), row("192.0.2.9", 4, 8), row("198.51.100.1", 16, 32))
	got, err := p.forwarded(t.Context())
	if want := "map[idle:0 p:15]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v; want %s", got, err, want)
	}
	dp.SetCounters(dataplane.Counters{})
	if _, err := p.forwarded(t.Context()); !errors.Is(err, errUncounted) {
		t.Errorf("without rows: %v", err)
	}
}

// TestNoProgram: a router with peers and no program to speak with does not start,
// and one without peers says that it does not speak BGP.
func TestNoProgram(t *testing.T) {
	p := newPlugin(t, announcingConfig(testFolder(t)), newTestDataplane())
	if err := p.Start(t.Context()); !errors.Is(err, bgp.ErrProgram) {
		t.Errorf("Start: %v", err)
	}
	quiet := newPlugin(t, testConfig(testFolder(t)), newTestDataplane())
	start(t, quiet)
	run, err := quiet.present()
	if err != nil {
		t.Fatal(err)
	}
	if router := quiet.view(run); router.Announcing != control.Announcing(nil) {
		t.Error("a router without peers has announcements")
	}
}
