package conformance

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// refuses requires that p is dropped in the tunnel from src to dst, and that
// the same packet from sw, whose softwire it is, is forwarded: nothing but the
// outer addresses is wrong with it.
func (l *lab) refuses(sw softwire.Softwire, p packet4, src, dst netip.Addr) {
	l.Helper()
	l.drops(dataplane.SideIPv6, outer{src: src, dst: dst, class: p.tos, hops: 64}.around(p.bytes()))
	l.forwards(dataplane.SideIPv6, fromB4(sw, p), decapsulated(p, oneHop))
}

// sourceCases: the outer source is the lwB4 of the softwire that holds the
// inner source address and port (RFC 7596 section 6.2).
func sourceCases() []testCase {
	wrong := func(name string, src func() netip.Addr) testCase {
		return testCase{
			name: "outer-source/" + name, required: true, detects: []Check{OuterSource},
			run: func(l *lab) {
				l.put(alice(), carol())
				for _, p := range []packet4{
					udp4(at(alice()), web, text(30)),
					tcp4(at(alice()), web, text(30)),
					echo(alice().IPv4, host, echoRequest, portOf(alice())),
				} {
					l.refuses(alice(), p, src(), alice().BR)
				}
			},
		}
	}
	return []testCase{
		wrong("unknown-lwb4", func() netip.Addr { return b4(99) }),
		wrong("other-lwb4", func() netip.Addr { return carol().B4 }),
		wrong("same-prefix", func() netip.Addr { return alice().B4.Next() }),
		wrong("high-bits", func() netip.Addr {
			a := alice().B4.As16()
			a[3] ^= 0x80
			return netip.AddrFrom16(a)
		}),
		{
			// Without the check a data plane may still not accept its own address.
			name: "outer-source/br-address", required: true, mayDetect: []Check{OuterSource},
			run: func(l *lab) {
				l.put(alice())
				l.refuses(alice(), udp4(at(alice()), web, text(30)), br1, alice().BR)
			},
		},
		{
			name: "outer-source/whole-address", required: true, detects: []Check{OuterSource},
			run: func(l *lab) {
				l.put(alice(), carol())
				p := udp4(at(carol()), web, text(30))
				l.refuses(carol(), p, b4(99), carol().BR)
			},
		},
	}
}

// destinationCases: the outer destination is the BR address of that softwire,
// and of no other.
func destinationCases() []testCase {
	return []testCase{
		{
			name: "outer-destination/other-br-address", required: true, detects: []Check{OuterDestination},
			run: func(l *lab) {
				l.put(alice(), carol())
				l.refuses(alice(), udp4(at(alice()), web, text(30)), alice().B4, carol().BR)
				l.refuses(carol(), udp4(at(carol()), web, text(30)), carol().B4, alice().BR)
			},
		},
		{
			// Without the check a data plane may still not know the address.
			name: "outer-destination/unknown-br-address", required: true, mayDetect: []Check{OuterDestination},
			run: func(l *lab) {
				l.put(alice(), carol())
				unknown := netip.MustParseAddr("2001:db8:ffff::99")
				l.refuses(alice(), udp4(at(alice()), web, text(30)), alice().B4, unknown)
			},
		},
		{
			name: "outer-destination/other-lwb4", required: true, mayDetect: []Check{OuterDestination},
			run: func(l *lab) {
				l.put(alice(), carol())
				l.refuses(alice(), udp4(at(alice()), web, text(30)), alice().B4, carol().B4)
			},
		},
	}
}

// addressCases: the inner source address is the softwire's.
func addressCases() []testCase {
	from := func(sw softwire.Softwire, ip netip.Addr) []byte {
		return fromB4(sw, udp4(netip.AddrPortFrom(ip, portOf(sw)), web, text(30)))
	}
	return []testCase{
		{
			name: "inner-address/unbound", required: true, detects: []Check{InnerAddress},
			run: func(l *lab) {
				l.put(alice())
				l.drops(dataplane.SideIPv6, from(alice(), ipFree))
			},
		},
		{
			name: "inner-address/outside-the-pools", required: true, detects: []Check{InnerAddress},
			run: func(l *lab) {
				l.put(alice())
				for _, ip := range []string{"198.51.100.8", "10.0.0.1", "192.168.1.2", "127.0.0.1", "192.0.0.2"} {
					l.drops(dataplane.SideIPv6, from(alice(), netip.MustParseAddr(ip)))
				}
			},
		},
		{
			name: "inner-address/other-lwb4s", required: true, mayDetect: []Check{OuterSource, InnerAddress},
			run: func(l *lab) {
				other := alice()
				other.IPv4, other.B4 = ipB, b4(4)
				l.put(alice(), other, carol())
				l.drops(dataplane.SideIPv6, from(alice(), other.IPv4))
				// The BR address is right for neither, or for both.
				l.drops(dataplane.SideIPv6, from(alice(), carol().IPv4))
			},
		},
	}
}
