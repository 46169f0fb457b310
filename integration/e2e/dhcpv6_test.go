package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// chain is a scene whose CPEs ask a coredhcp server through ISC's relay on the
// access router.
type chain struct {
	*testing.T
	*scene.Scene
	server *coredhcp
	relay  *netlab.Process
}

// Lifetimes of what the chain delegates.
const (
	chainPreferred = 6 * time.Second // which says when clients renew and rebind
	chainValid     = 10 * time.Second
	chainRetry     = time.Second // of who got no softwire
)

// newChain starts everything but the clients. Each subscriber's prefix is in a
// pool of its link, since nobody tells the access router of routes.
func newChain(t *testing.T, o scene.Options) (context.Context, *chain) {
	t.Helper()
	netlab.RequireProgram(t, "dhcrelay", "isc-dhcp-relay")
	o.DHCPv6, o.Unbound = true, true
	ctx, s := start(t, o)
	c := &chain{T: t, Scene: s}
	var pools []string
	for _, sub := range s.Subscribers {
		pools = append(pools, fmt.Sprintf("{name: link%d, prefixes: [\"%s\"], links: [\"%s\"], preferred-lifetime: %s, valid-lifetime: %s, hold-down: 1s}",
			sub.Number, sub.Prefix, sub.Link(), chainPreferred, chainValid))
	}
	c.server = newCoredhcp(ctx, t, s, fmt.Sprintf("retry: %s, patience: 3s", chainRetry), pools...)
	args := []string{"-6", "-d", "--no-pid", "-u", scene.DHCPServer().String() + "%" + scene.AccessDHCP}
	for _, sub := range s.Subscribers {
		args = append(args, "-l", scene.AccessCPE(sub.Number))
	}
	var err error
	c.relay, err = s.Access.Start("dhcrelay", args...)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dhcrelay wrote:\n%s", c.relay.Output())
		}
	})
	must(t, wrote(ctx, c.relay, "Sending on   Socket/"+scene.AccessDHCP))
	return ctx, c
}

// TestDHCPv6: a CPE gets its prefix and softwire through a relay, from then on its
// hosts have IPv4. It gets the same ones back after it released them. When nothing
// is heard of it any more they end, also in the data plane.
func TestDHCPv6(t *testing.T) {
	withEachDHCPClient(t, func(t *testing.T, client newDHCPClient) {
		onBoth(t, func(t *testing.T, o scene.Options) { testDHCPv6(t, o, client) })
	})
}

func testDHCPv6(t *testing.T, o scene.Options, on newDHCPClient) {
	t.Parallel() // most of it is waiting
	ctx, c := newChain(t, o)
	client := on(t, c.CPEs[0])
	client.start()
	got := c.obtained(client.next(ctx, dhcpBound))
	c.programmed(ctx, got)
	c.connect(ctx, got)
	_, err := probe.Download(ctx, c.Hosts[0], c.File(), 1_000_000)
	must(t, err)

	client.stop()
	c.programmed(ctx)
	if err := c.echo(ctx, time.Second); err == nil {
		t.Error("the data plane forwards what was released")
	}
	client.start()
	if again := c.obtained(client.next(ctx, dhcpBound)); again != got {
		t.Errorf("it came back, and got %s instead of %s", again, got)
	}
	must(t, c.CPEProcess(1).Stop())
	c.connect(ctx, got)

	// It renews: what it holds lasts longer than it was first told.
	if renewed := c.obtained(client.next(ctx, dhcpRenewed)); renewed != got {
		t.Errorf("renewed as %s instead of %s", renewed, got)
	}
	must(t, c.echo(ctx, 10*time.Second))
	// Another server is in the place of this one, and discards what is said to that.
	must(t, c.server.identify("02:00:00:00:00:02"))
	must(t, c.server.kill(ctx))
	if rebound := c.obtained(client.next(ctx, dhcpRebound)); rebound != got {
		t.Errorf("rebound as %s instead of %s", rebound, got)
	}
	// Nothing more is heard of it.
	must(t, c.relay.Stop())
	c.programmed(ctx)
	if err := c.echo(ctx, time.Second); err == nil {
		t.Error("the data plane forwards what has expired")
	}
}

// TestDHCPv6WithoutRouter: while the lwAFTR is away a CPE gets its prefix alone,
// soon asks again, and has its softwire when the lwAFTR is back. When that goes away
// again the CPE keeps what it was promised.
func TestDHCPv6WithoutRouter(t *testing.T) { withEachDHCPClient(t, testDHCPv6WithoutRouter) }

func testDHCPv6WithoutRouter(t *testing.T, on newDHCPClient) {
	ctx, c := newChain(t, scene.Options{})
	must(t, c.RouterProcess().Stop())
	client := on(t, c.CPEs[0])
	client.start()
	h := client.next(ctx, dhcpBound)
	if h.prefix != c.Subscribers[0].Prefix || h.softwire.IPv4.IsValid() {
		t.Fatalf("holds %+v", h)
	}
	if h.t1 != 0 && h.t1 != chainRetry {
		t.Errorf("T1 is %s, want %s", h.t1, chainRetry)
	}
	must(t, c.StartRouter(ctx))
	var got softwire.Softwire
	for !got.IPv4.IsValid() {
		got = client.next(ctx, dhcpRenewed).softwire
	}
	c.programmed(ctx, got)
	c.connect(ctx, got)
	must(t, c.RouterProcess().Stop())
	for range 2 { // it may have renewed before
		if renewed := c.obtained(client.next(ctx, dhcpRenewed)); renewed != got {
			t.Errorf("renewed as %s instead of %s", renewed, got)
		}
	}
}

// obtained is the softwire that a client has, in the prefix of subscriber 1.
func (c *chain) obtained(h holding) softwire.Softwire {
	c.Helper()
	if h.prefix != c.Subscribers[0].Prefix || h.softwire.BR != scene.BR {
		c.Fatalf("holds %+v", h)
	}
	return h.softwire
}

// programmed waits until the lwAFTR has these softwires, and no other.
func (c *chain) programmed(ctx context.Context, want ...softwire.Softwire) {
	c.Helper()
	for {
		var got []softwire.Softwire
		var failed error
		for s, err := range c.Router().Softwires(ctx, api.SoftwireFilter{}) {
			w, bad := s.Softwire()
			failed = errors.Join(failed, err, bad)
			got = append(got, w)
		}
		if failed == nil && fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			c.Fatalf("the lwAFTR has %s, want %s; %v", got, want, failed)
		}
	}
}

// connect runs the lwB4 of subscriber 1 with a softwire.
func (c *chain) connect(ctx context.Context, w softwire.Softwire) {
	c.Helper()
	sub := &c.Subscribers[0]
	sub.Softwire = w
	for r := range w.PortSet.Ranges() {
		sub.EchoPort, sub.FilePort = r.First, r.Last
	}
	must(c.T, c.StartCPE(ctx, sub.Number))
	must(c.T, c.echo(ctx, 10*time.Second))
}

// echo has the Internet echo a datagram of the first subscriber's host, which may
// take so long.
func (c *chain) echo(ctx context.Context, most time.Duration) error {
	c.Helper()
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	d, err := probe.OpenDatagram(c.Hosts[0], netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	must(c.T, err)
	defer d.Close()
	_, err = d.Exchange(ctx, c.Echo(), 0, []byte("over the softwire"))
	return err
}
