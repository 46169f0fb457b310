package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/pcp/datagram"
)

// endpoint is the lwB4 of a host that is alone in its household: a softwire for
// the host's own IPv4, without NAT.
type endpoint struct {
	*testing.T
	node *netlab.Namespace
	b4   netip.Addr
}

// device is the endpoint's, and everywhere what goes by it.
const device = "softwire"

var everywhere = netip.MustParsePrefix("0.0.0.0/0")

// newEndpoint makes one on a CPE, from the first address of its prefix. At first
// it has only the address that all lwB4s have (RFC 6333 section 5.7).
func newEndpoint(t *testing.T, s *scene.Scene, number int) *endpoint {
	t.Helper()
	e := &endpoint{T: t, node: s.CPEs[number-1], b4: s.Subscribers[number-1].Softwire.B4}
	must(t, e.node.Address(scene.CPEWAN, netip.PrefixFrom(e.b4, e.b4.BitLen())))
	var tun *lwb4sim.TUN
	must(t, e.node.Do(func() (err error) { tun, err = lwb4sim.OpenTUN(device); return err }))
	must(t, e.node.SetMTU(device, netlab.DefaultMTU-(datagram.Overhead-28)))
	must(t, e.node.Address(device, netip.MustParsePrefix("192.0.0.2/29")))
	var outer net.PacketConn
	must(t, e.node.Do(func() (err error) { outer, err = net.ListenPacket("ip6:4", e.b4.String()); return err }))

	ctx, cancel := context.WithCancel(t.Context())
	var group errgroup.Group
	group.Go(func() error { return encapsulate(ctx, tun, outer) })
	group.Go(func() error { return decapsulate(outer, tun) })
	t.Cleanup(func() {
		cancel()
		must(t, errors.Join(outer.Close(), group.Wait(), tun.Close()))
	})
	return e
}

// encapsulate sends what comes from a device to the lwAFTR, until ctx ends.
func encapsulate(ctx context.Context, from *lwb4sim.TUN, to net.PacketConn) error {
	b := make([]byte, netlab.DefaultMTU)
	for {
		n, err := from.Receive(ctx, b)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if b[0]>>4 != 4 {
			continue // the kernel looks for IPv6 routers
		}
		if _, err := to.WriteTo(b[:n], &net.IPAddr{IP: scene.BR.AsSlice()}); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// decapsulate delivers what comes from the lwAFTR, until the socket is closed.
func decapsulate(from net.PacketConn, to *lwb4sim.TUN) error {
	b := make([]byte, netlab.DefaultMTU)
	for {
		n, _, err := from.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := to.Send(b[:n]); err != nil {
			return err
		}
	}
}

// pcp runs lwaftr pcp on the host, from an address.
func (e *endpoint) pcp(from route, args ...string) (string, error) {
	e.Helper()
	source := from.source
	if !source.IsValid() {
		source = e.b4
	}
	p, err := e.node.Start(binaries.Lwaftr, append([]string{"pcp", "--server", from.server.String(), "--source", source.String()}, args...)...)
	must(e.T, err)
	err = p.Wait()
	return p.Output(), err
}

// route is a way of requests to the lwAFTR. The source is the lwB4's own address
// if it is not set.
type route struct{ server, source netip.Addr }

var (
	plainIPv6   = route{server: scene.BR}
	inSoftwires = route{server: netip.MustParseAddr("192.0.0.1"), source: netip.MustParseAddr("192.0.0.2")}
)

// portGrant is what lwaftr pcp map prints.
type portGrant struct {
	External  netip.Addr `json:"external-address"`
	FirstPort uint16     `json:"first-port"`
	Ports     int        `json:"ports"`
	Nonce     string     `json:"nonce"`
}

// ask asks for a port set.
func (e *endpoint) ask(from route, args ...string) (g portGrant) {
	e.Helper()
	out, err := e.pcp(from, append([]string{"map", "-o", "json"}, args...)...)
	if err != nil {
		e.Fatalf("%v\n%s", err, out)
	}
	must(e.T, json.Unmarshal([]byte(out), &g))
	return g
}
