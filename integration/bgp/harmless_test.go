package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// TestHarmless: peers send what GoBGP does not survive to a router that lends port
// sets and forwards. No packet of its subscribers is lost, nobody's lease changes,
// the other peer notices nothing, and those that behave again get their routes.
func TestHarmless(t *testing.T) {
	t.Parallel()
	netlab.Require(t)
	netlab.RequireProgram(t, bird.Program, bird.Package)
	binaries, err := scene.Build(t.Context(), t.TempDir())
	must(t, err)
	section := fmt.Sprintf(`bgp:
  router-id: 198.51.100.1
  as: 64500
  announce: {state-file: %s}
  peers:
    - {name: upstream, address: 198.51.100.2, as: 64501, families: [ipv4], connect-retry: 1s}
`, filepath.Join(t.TempDir(), "announce.json"))
	var fatal []attack
	for _, a := range attacks(1) {
		if a.falls {
			section += fmt.Sprintf("    - {name: evil%d, address: 198.51.100.%d, as: 64501, port: 1790, families: [ipv4], connect-retry: 1s}\n",
				len(fatal), 10+len(fatal))
			fatal = append(fatal, a)
		}
	}
	s, err := scene.Start(t.Context(), scene.Options{Binaries: binaries, Provision: scene.ProvisionPCP, Sections: section})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	b, err := bird.Start(t.Context(), s.Internet, t.TempDir(), netip.MustParseAddr(upstream4), ebgp(upstream4, router4, "debug { routes };", channel4))
	must(t, err)
	pool := scene.Pool
	if _, err := b.Await(t.Context(), bird.With(pool)); err != nil {
		t.Fatal(err)
	}
	before := leases(t, s)

	// Traffic goes on until all peers have attacked and have their routes.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var exchanged int
	var group errgroup.Group
	group.Go(func() (err error) {
		exchanged, err = exchange(ctx, s)
		return err
	})
	good := make([]atomic.Bool, len(fatal))
	for i, a := range fatal {
		address := fmt.Sprintf("198.51.100.%d", 10+i)
		must(t, s.Internet.Address(scene.InternetUplink, netip.MustParsePrefix(address+"/24")))
		group.Go(func() error { return a.run(ctx, s.Internet, address+":1790", &good[i]) })
	}
	eventually(t, "the peers' routes", func() error {
		for i, a := range fatal {
			if !good[i].Load() {
				return fmt.Errorf("%q has none", a.name)
			}
		}
		return nil
	})
	cancel()
	must(t, group.Wait())
	t.Logf("%d exchanges with the Internet meanwhile", exchanged)

	if after := leases(t, s); len(after) != scene.Subscribers || !reflect.DeepEqual(after, before) {
		t.Errorf("the leases were %v and are %v", before, after)
	}
	if strings.Contains(b.Output(), "removed") {
		t.Errorf("BIRD has lost a route:\n%s", b.Output())
	}
	is, err := s.Router().BGP(t.Context())
	must(t, err)
	for i, p := range is.Peers {
		// The first one is BIRD.
		if fell := p.Starts > 1; fell != (i > 0) {
			t.Errorf("%+v", p)
		}
	}
}

// leases are the port sets of all subscribers.
func leases(t *testing.T, s *scene.Scene) []softwire.Softwire {
	t.Helper()
	var all []softwire.Softwire
	for _, sub := range s.Subscribers {
		holds, err := s.Holds(t.Context(), sub.Number)
		must(t, err)
		all = append(all, holds...)
	}
	return all
}

// exchange has a host talk to the Internet until ctx ends, and returns how often
// that was answered. A packet that is lost is an error.
func exchange(ctx context.Context, s *scene.Scene) (n int, err error) {
	d, err := probe.OpenDatagram(s.Hosts[0], netip.MustParseAddrPort("0.0.0.0:0"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	for ; ctx.Err() == nil; n++ {
		answer, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		_, err := d.Exchange(answer, s.Echo(), 0, fmt.Append(nil, n))
		cancel()
		if err != nil {
			return n, fmt.Errorf("exchange %d: %w", n, err)
		}
		time.Sleep(time.Millisecond)
	}
	return n, nil
}
