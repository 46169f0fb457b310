package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// TestProvisionedByPCP: hosts that have only IPv6 and no binding get a port set by
// one request, one in the softwire, the other over plain IPv6. From then on their
// IPv4 works from these ports and from no other, until they give them back. What
// was said meanwhile is read by tshark.
func TestProvisionedByPCP(t *testing.T) { onBoth(t, testProvisionedByPCP) }

func testProvisionedByPCP(t *testing.T, o scene.Options) {
	o.PCP, o.Unbound, o.Params = true, true, params(t, 0, 8)
	ctx, s := start(t, o)
	talk, err := s.Access.Capture(scene.AccessAFTR)
	must(t, err)
	defer talk.Close()
	for name, e := range map[string]*household{
		"in the softwire": {newEndpoint(t, s, 1), inSoftwires, s},
		"over plain IPv6": {newEndpoint(t, s, 2), plainIPv6, s},
	} {
		// The endpoints belong to the whole test, what they find out to its parts.
		t.Run(name, func(t *testing.T) { e.T = t; e.live(ctx) })
		e.T = t
	}
	frames, err := talk.Drain()
	must(t, err)
	t.Run("tshark", func(t *testing.T) { readByTshark(t, frames) })
}

// household is an endpoint and the way it asks for its port set.
type household struct {
	*endpoint
	way   route
	scene *scene.Scene
}

// live is from the first request to the last.
func (h *household) live(ctx context.Context) {
	wire, err := h.scene.Internet.Capture(scene.InternetUplink)
	must(h.T, err)
	defer wire.Close()
	if out, err := h.pcp(h.way, "announce"); err != nil {
		h.Fatalf("%v\n%s", err, out)
	}
	if found := h.leases(ctx); len(found) != 0 {
		h.Fatalf("bound before it asked: %+v", found)
	}
	g := h.ask(h.way)
	if found := h.leases(ctx); len(found) != 1 || found[0].B4 != h.b4 || found[0].IPv4 != g.External {
		h.Fatalf("%+v was granted, the leases are %+v", g, found)
	}
	h.use(g)
	_, err = probe.Download(ctx, h.node, h.scene.File(), 1_000_000)
	must(h.T, err)
	h.echoFromAll(ctx, g)
	h.expect(wire, g)

	if out, err := h.pcp(h.way, "map", "--third-party", "2001:db8::1"); err == nil || !strings.Contains(out, "UNSUPP_OPTION") {
		h.Errorf("a mapping for somebody else: %v\n%s", err, out)
	}
	if again := h.ask(h.way, "--nonce", g.Nonce); again != g {
		h.Errorf("renewed as %+v, it was %+v", again, g)
	}
	if out, err := h.pcp(h.way, "delete", "--nonce", g.Nonce); err != nil {
		h.Errorf("%v\n%s", err, out)
	}
	if found := h.leases(ctx); len(found) != 0 {
		h.Errorf("still bound: %+v", found)
	}
}

// leases are those that are bound.
func (h *household) leases(ctx context.Context) (found []api.Lease) {
	h.Helper()
	for l, err := range h.scene.Router().Leases(ctx, api.LeaseFilter{State: "bound"}) {
		must(h.T, err)
		found = append(found, l)
	}
	return found
}

// use configures the host with what it got.
func (h *household) use(g portGrant) {
	h.Helper()
	must(h.T, h.node.Address(device, netip.PrefixFrom(g.External, 32)))
	must(h.T, h.node.RouteFrom(everywhere, device, g.External))
	must(h.T, h.node.Sysctl("net/ipv4/ip_local_port_range", fmt.Sprintf("%d %d", g.FirstPort, g.last())))
}

// last is the last port of a grant.
func (g portGrant) last() int { return int(g.FirstPort) + g.Ports - 1 }

// echoFromAll sends a datagram from the ports next to the set, and then has one
// echoed from each port of the set.
func (h *household) echoFromAll(ctx context.Context, g portGrant) {
	h.Helper()
	for _, port := range []int{int(g.FirstPort) - 1, g.last() + 1} {
		d, err := probe.OpenDatagram(h.node, netip.AddrPortFrom(g.External, uint16(port)))
		must(h.T, err)
		must(h.T, d.Send(h.scene.Echo(), 0, []byte("from somebody else's port")))
		must(h.T, d.Close())
	}
	for port := int(g.FirstPort); port <= g.last(); port++ {
		d, err := probe.OpenDatagram(h.node, netip.AddrPortFrom(g.External, uint16(port)))
		must(h.T, err)
		_, err = d.Exchange(ctx, h.scene.Echo(), 0, fmt.Appendf(nil, "from port %d", port))
		must(h.T, err)
		must(h.T, d.Close())
	}
}

// expect finds, among what came to the Internet, UDP from each port of the set,
// TCP from some, and nothing from elsewhere.
func (h *household) expect(wire *netlab.Capture, g portGrant) {
	h.Helper()
	frames, err := wire.Drain()
	must(h.T, err)
	seen := map[uint8]map[uint16]bool{unix.IPPROTO_TCP: {}, unix.IPPROTO_UDP: {}}
	for _, f := range frames {
		p := f.Packet()
		if f.Outgoing || len(p) < 24 || p[0] != 0x45 {
			continue
		}
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:])), binary.BigEndian.Uint16(p[20:]))
		if from.Addr() != g.External || int(from.Port()) < int(g.FirstPort) || int(from.Port()) > g.last() {
			h.Errorf("IP protocol %d came from %s, %+v was granted", p[9], from, g)
			continue
		}
		seen[p[9]][from.Port()] = true
	}
	if tcp, udp := len(seen[unix.IPPROTO_TCP]), len(seen[unix.IPPROTO_UDP]); tcp == 0 || udp != g.Ports {
		h.Errorf("TCP came from %d ports and UDP from %d, %d were granted", tcp, udp, g.Ports)
	}
}
