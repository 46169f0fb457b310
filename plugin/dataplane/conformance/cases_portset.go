package conformance

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// edge is a port set with ports written out by hand from RFC 7597 section 5.1,
// so that the suite does not share the arithmetic of what it tests.
type edge struct {
	a, k     uint8
	psid     uint16
	in, out  []uint16 // ports just inside and just outside
	excluded []uint16 // with the right PSID bits, but in the low block
}

func edges() []edge {
	return []edge{
		{a: 0, k: 1, psid: 1, in: []uint16{32768, 65535}, out: []uint16{0, 32767}},
		{a: 0, k: 6, psid: 5, in: []uint16{5120, 6143}, out: []uint16{5119, 6144, 0, 65535}},
		{a: 0, k: 8, psid: 255, in: []uint16{65280, 65535}, out: []uint16{65279, 0}},
		{a: 0, k: 15, psid: 20000, in: []uint16{40000, 40001}, out: []uint16{39999, 40002}},
		{a: 0, k: 16, psid: 40000, in: []uint16{40000}, out: []uint16{39999, 40001}},
		{
			// The example of RFC 7597 section 5.1: 2^6 - 1 blocks of 4 ports.
			a: 6, k: 8, psid: 0x34, in: []uint16{1232, 1235, 2256, 2259, 64720, 64723},
			out: []uint16{1231, 1236, 2255, 2260, 64719, 64724}, excluded: []uint16{208, 211},
		},
		{
			a: 4, k: 4, psid: 15, in: []uint16{7936, 8191, 65280, 65535},
			out: []uint16{7935, 8192, 65279}, excluded: []uint16{3840, 4095},
		},
		{
			// Every port is a block of its own: a + k = 16.
			a: 10, k: 6, psid: 7, in: []uint16{71, 65479},
			out: []uint16{70, 72, 65478, 65480}, excluded: []uint16{7},
		},
	}
}

func (e edge) String() string { return fmt.Sprintf("psid-offset %d psid-len %d", e.a, e.k) }

func (e edge) softwire() softwire.Softwire {
	return softwire.Softwire{IPv4: ipB, PortSet: set(e.a, e.k, e.psid), B4: b4(7), BR: br1}
}

// portSetCases: which ports reach a lwB4 and may come from it. The cases of
// ports that may not come from it are in portCases.
func portSetCases() []testCase {
	all := []testCase{
		{name: "port-set/whole-address", run: func(l *lab) {
			l.put(carol())
			for _, port := range []uint16{0, 1, 1023, 32768, 65535} {
				own := netip.AddrPortFrom(carol().IPv4, port)
				in, out := udp4(web, own, text(9)), tcp4(own, web, text(9))
				l.forwards(dataplane.SideIPv4, in.bytes(), encapsulated(in, carol(), oneHop))
				l.forwards(dataplane.SideIPv6, fromB4(carol(), out), decapsulated(out, oneHop))
			}
		}},
		{name: "port-set/mixed-lengths-on-one-address", run: func(l *lab) {
			// One half, one quarter and one eighth of the address; 0 to 8191
			// stay free.
			var softwires []softwire.Softwire
			for i, s := range []portset.PortSet{set(0, 1, 1), set(0, 2, 1), set(0, 3, 1)} {
				softwires = append(softwires, softwire.Softwire{IPv4: ipB, PortSet: s, B4: b4(uint16(20 + i)), BR: br1})
			}
			l.put(softwires...)
			bounds := []struct{ first, last uint16 }{{32768, 65535}, {16384, 32767}, {8192, 16383}}
			for i, sw := range softwires {
				for _, port := range []uint16{bounds[i].first, bounds[i].last} {
					own := netip.AddrPortFrom(ipB, port)
					in, out := udp4(web, own, text(9)), udp4(own, web, text(9))
					l.forwards(dataplane.SideIPv4, in.bytes(), encapsulated(in, sw, oneHop))
					l.forwards(dataplane.SideIPv6, fromB4(sw, out), decapsulated(out, oneHop))
				}
			}
			l.drops(dataplane.SideIPv4, udp4(web, netip.AddrPortFrom(ipB, 8191), text(9)).bytes())
		}},
	}
	for _, e := range edges() {
		all = append(all,
			testCase{name: fmt.Sprintf("port-set/a%d-k%d/inside", e.a, e.k), run: func(l *lab) {
				sw := e.softwire()
				l.put(sw)
				for _, port := range e.in {
					own := netip.AddrPortFrom(ipB, port)
					in, out := udp4(web, own, text(9)), udp4(own, web, text(9))
					l.forwards(dataplane.SideIPv4, in.bytes(), encapsulated(in, sw, oneHop))
					l.forwards(dataplane.SideIPv6, fromB4(sw, out), decapsulated(out, oneHop))
				}
			}},
			testCase{name: fmt.Sprintf("port-set/a%d-k%d/outside-inbound", e.a, e.k), required: true, run: func(l *lab) {
				l.put(e.softwire())
				for _, port := range append(e.out, e.excluded...) {
					l.drops(dataplane.SideIPv4, udp4(web, netip.AddrPortFrom(ipB, port), text(9)).bytes())
				}
			}},
		)
	}
	return all
}
