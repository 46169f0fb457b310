package conformance

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// hairpinned expects p in the tunnel to sw's lwB4 after two hops.
func hairpinned(p packet4, sw softwire.Softwire) expectation { return encapsulated(p, sw, twoHops) }

// hairpinCases: what one lwB4 sends to another is decapsulated and encapsulated
// again (RFC 7596 section 6.2), and checked as everything else is.
func hairpinCases() []testCase {
	between := func(name string, from, to softwire.Softwire) testCase {
		return testCase{name: "hairpin/" + name, run: func(l *lab) {
			l.put(from, to)
			for _, p := range []packet4{
				udp4(at(from), at(to), text(60)),
				tcp4(at(from), at(to), text(60)).withTOS(0x28),
			} {
				l.forwards(dataplane.SideIPv6, fromB4(from, p), hairpinned(p, to))
			}
			back := udp4(at(to), at(from), text(60))
			l.forwards(dataplane.SideIPv6, fromB4(to, back), hairpinned(back, from))
		}}
	}
	neighbour := alice()
	neighbour.IPv4, neighbour.B4 = ipB, b4(5)
	return []testCase{
		between("two-addresses", alice(), neighbour),
		between("one-address", alice(), bob()),
		between("two-br-addresses", alice(), carol()),
		{name: "hairpin/echo", run: func(l *lab) {
			// Asked for by carol's identifier, answered to it (RFC 7596
			// section 8.1).
			l.put(alice(), carol())
			id := portOf(alice())
			request := echo(carol().IPv4, alice().IPv4, echoRequest, id)
			l.forwards(dataplane.SideIPv6, fromB4(carol(), request), hairpinned(request, alice()))
			reply := echo(alice().IPv4, carol().IPv4, echoReply, id)
			l.forwards(dataplane.SideIPv6, fromB4(alice(), reply), hairpinned(reply, carol()))
		}},
		{name: "hairpin/icmp-error", run: func(l *lab) {
			l.put(alice(), carol())
			refused := udp4(at(carol()), at(alice()), text(60))
			p := icmp4(alice().IPv4, carol().IPv4, unreachable, 3, 0, refused.quoted())
			l.forwards(dataplane.SideIPv6, fromB4(alice(), p), hairpinned(p, carol()))
		}},
		{name: "hairpin/unbound", required: true, run: func(l *lab) {
			l.put(alice())
			for _, to := range []netip.AddrPort{
				netip.AddrPortFrom(ipFree, portOf(alice())),
				netip.AddrPortFrom(ipA, 6144),
				at(bob()),
			} {
				l.drops(dataplane.SideIPv6, fromB4(alice(), udp4(at(alice()), to, text(60))))
			}
		}},
		{
			name: "hairpin/outer-source", required: true, detects: []Check{OuterSource},
			run: func(l *lab) {
				l.put(alice(), bob())
				p := udp4(at(alice()), at(bob()), text(60))
				l.drops(dataplane.SideIPv6, outer{src: b4(99), dst: alice().BR, hops: 64}.around(p.bytes()))
			},
		},
		{
			name: "hairpin/outer-destination", required: true, detects: []Check{OuterDestination},
			run: func(l *lab) {
				l.put(alice(), carol())
				p := udp4(at(alice()), at(carol()), text(60))
				l.drops(dataplane.SideIPv6, outer{src: alice().B4, dst: carol().BR, hops: 64}.around(p.bytes()))
			},
		},
		{
			name: "hairpin/inner-port", required: true, detects: []Check{InnerPort},
			run: func(l *lab) {
				l.put(alice(), carol())
				p := udp4(netip.AddrPortFrom(ipA, 6144), at(carol()), text(60))
				l.drops(dataplane.SideIPv6, fromB4(alice(), p))
			},
		},
	}
}
