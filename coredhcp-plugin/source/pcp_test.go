package source_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/source"
	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// here is where the source asks from, there the address of the lwAFTR's PCP server.
var here, there = netip.MustParseAddr("2001:db8:cafe::1"), netip.MustParseAddr("2001:db8:ffff::53")

// loopback has the test in a network namespace of its own, where both addresses are.
func loopback(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("root is missing: a network namespace is needed")
	}
	// The thread ends with the test, and the namespace with its last thread and socket.
	runtime.LockOSThread()
	own, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	for _, a := range []netip.Addr{here, there} {
		if err == nil {
			err = netlink.AddrAdd(lo, &netlink.Addr{IPNet: netlink.NewIPNet(a.AsSlice())})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// withPCP has a router serve PCP.
func withPCP(c *plugin.Config) {
	c.PCP.Enabled = true
	c.PCP.Listen = []pcp.Listener{{Address: there, Interface: "lo"}}
	c.PCP.ThirdParties = []netip.Prefix{netip.PrefixFrom(here, 128)}
}

// lent are the router's pool "pcp" as the source has it.
func lent() pool.Pools {
	p := pool.Pool{
		Name: "lent", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/30")},
		PSIDLen: 4, BR: netip.MustParseAddr("2001:db8:ffff::2"), Terms: pool.DefaultTerms(),
	}
	p.Mechanisms = []pool.Mechanism{pool.DHCPv6}
	return pool.Pools{p}
}

// newPCP returns a source that asks the router, until the test ends.
func newPCP(t *testing.T) *source.PCP {
	t.Helper()
	at := netip.AddrPortFrom(there, pcpmsg.ServerPort)
	conn, err := client.ListenFrom(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	asks, err := client.New(conn, client.Config{Servers: []netip.AddrPort{at}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := asks.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		conn.Close()
	})
	p, err := source.NewPCP(lent(), asks, []byte("secret"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPCP: what the source chooses is mapped in a router that speaks PCP, with the
// tunnel address of RFC 7596, is renewed, deleted, and had again, also by a source
// that was restarted.
func TestPCP(t *testing.T) {
	loopback(t)
	r := newRouter(t, withPCP)
	s := source.Leases(newPCP(t))
	w := want("2001:db8:1:8000::/56")
	first, err := s.Acquire(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, w, first.Softwire)
	if left := time.Until(first.Expires); left < 59*time.Minute || left > time.Hour+2*time.Second {
		t.Errorf("for %s", left)
	}
	w.Last, w.Lifetime = first.Softwire, 2*time.Hour
	again, err := s.Acquire(t.Context(), w)
	if err != nil || again.Softwire != first.Softwire || time.Until(again.Expires) < 119*time.Minute {
		t.Errorf("%+v, %v", again, err)
	}
	// After a restart it knows what it is told, and asks with the same nonce.
	restarted := newPCP(t)
	if err := restarted.Restore(w.Prefix, first.Softwire, true, again.Expires); err != nil {
		t.Fatal(err)
	}
	s = source.Leases(restarted)
	if other, err := s.Acquire(t.Context(), want("2001:db8:2:8000::/56")); err != nil || other.Softwire.Key() == first.Softwire.Key() {
		t.Errorf("another prefix: %+v, %v", other, err)
	}
	if renewed, err := s.Acquire(t.Context(), w); err != nil || renewed.Softwire != first.Softwire {
		t.Errorf("%+v, %v", renewed, err)
	}
	for range 2 {
		if err := s.Release(t.Context(), w); err != nil {
			t.Error(err)
		}
	}
	if _, ok := r.dp.Held()[first.Softwire.Key()]; ok {
		t.Error("the data plane has it after it was released")
	}
	if back, err := s.Acquire(t.Context(), w); err != nil || back.Softwire != first.Softwire {
		t.Errorf("who returns gets %+v, %v", back, err)
	}
}

// TestStrangers: what the lwAFTR gives instead of what was suggested is deleted, and
// what it has given to somebody else is not asked for again.
func TestStrangers(t *testing.T) {
	loopback(t)
	r := newRouter(t, withPCP)
	first := source.Leases(newPCP(t))
	taken, err := first.Acquire(t.Context(), want("2001:db8:1:8000::/56"))
	if err != nil {
		t.Fatal(err)
	}
	// This one does not know of the first, and would lend the same.
	second := source.Leases(newPCP(t))
	w := want("2001:db8:2:8000::/56")
	if g, err := second.Acquire(t.Context(), w); err == nil || errors.Is(err, server.ErrNone) {
		t.Errorf("the port set of another: %+v, %v", g, err)
	}
	if held := r.dp.Held(); len(held) != 2 { // with that of the configuration
		t.Errorf("%v", held)
	}
	g, err := second.Acquire(t.Context(), w)
	if err != nil || g.Softwire.Key() == taken.Softwire.Key() {
		t.Fatalf("%+v, %v", g, err)
	}
	check(t, r, w, g.Softwire)
}

// deaf is a Mapper that is not answered.
type deaf struct{}

func (deaf) Request(ctx context.Context, _ client.Want) (client.Grant, error) {
	<-ctx.Done()
	return client.Grant{}, ctx.Err()
}
func (deaf) Delete(ctx context.Context, _ client.Want) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestNoAnswer: a port set that the lwAFTR may have given stays with its subscriber,
// and is given back until that succeeds.
func TestNoAnswer(t *testing.T) {
	lends, err := source.NewPCP(lent(), deaf{}, []byte("secret"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s := source.Leases(lends)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	w := want("2001:db8:1:8000::/56")
	if g, err := s.Acquire(ctx, w); err == nil || errors.Is(err, server.ErrNone) {
		t.Errorf("%+v, %v", g, err)
	}
	other, err := s.Offer(t.Context(), want("2001:db8:2:8000::/56"))
	own, err2 := s.Offer(t.Context(), w)
	if err != nil || err2 != nil || other.Softwire.Key() == own.Softwire.Key() {
		t.Errorf("%+v, %v; %+v, %v", other, err, own, err2)
	}
	if err := s.Release(ctx, w); err == nil {
		t.Error("released without an answer")
	}
}

// TestPCPConfig: what PCP cannot lend is refused.
func TestPCPConfig(t *testing.T) {
	good := source.PCPConfig{Server: there, Address: here, Pools: lent()}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(c *source.PCPConfig){
		"the server":  func(c *source.PCPConfig) { c.Server = netip.MustParseAddr("192.0.2.1") },
		"the address": func(c *source.PCPConfig) { c.Address = netip.MustParseAddr("192.0.2.1") },
		"a mechanism": func(c *source.PCPConfig) { c.Pools[0].Mechanisms = []pool.Mechanism{pool.PCP} },
		"an offset":   func(c *source.PCPConfig) { c.Pools[0].PSIDOffset = 6 },
		"no length":   func(c *source.PCPConfig) { c.Pools[0].PSIDLen = 0 },
	} {
		c := good
		c.Pools = lent()
		spoil(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
