package conformance

import (
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// unboundCases: what no softwire is for is discarded (RFC 7596 section 6.2).
func unboundCases() []testCase {
	return []testCase{
		{name: "unbound/address", required: true, run: func(l *lab) {
			l.put(alice())
			own := netip.AddrPortFrom(ipFree, portOf(alice()))
			l.drops(dataplane.SideIPv4, udp4(web, own, text(30)).bytes())
			l.drops(dataplane.SideIPv4, tcp4(web, own, text(30)).bytes())
		}},
		{name: "unbound/port", required: true, run: func(l *lab) {
			l.put(alice())
			for _, port := range []uint16{5119, 6144, 0, 65535} {
				own := netip.AddrPortFrom(ipA, port)
				l.drops(dataplane.SideIPv4, udp4(web, own, text(30)).bytes())
				l.drops(dataplane.SideIPv4, tcp4(web, own, text(30)).bytes())
			}
		}},
		{name: "unbound/pool-edges", required: true, run: func(l *lab) {
			l.put(alice())
			for _, ip := range []string{"192.0.2.0", "192.0.2.255", "203.0.113.0"} {
				own := netip.AddrPortFrom(netip.MustParseAddr(ip), 5200)
				l.drops(dataplane.SideIPv4, udp4(web, own, text(30)).bytes())
			}
		}},
		{name: "unbound/nothing-programmed", required: true, run: func(l *lab) {
			l.drops(dataplane.SideIPv4, udp4(web, at(alice()), text(30)).bytes())
			l.drops(dataplane.SideIPv6, fromB4(alice(), udp4(at(alice()), web, text(30))))
		}},
		{name: "unbound/protocol-without-ports", required: true, mayDetect: []Check{InnerPort}, run: func(l *lab) {
			// A shared address has no owner for it.
			l.put(alice(), bob())
			for _, psid := range []uint16{0, 63} {
				sw := alice()
				sw.PortSet, sw.B4 = set(0, 6, psid), b4(30+psid)
				l.put(sw)
			}
			for _, protocol := range []layers.IPProtocol{layers.IPProtocolGRE, layers.IPProtocolESP} {
				l.drops(dataplane.SideIPv4, ipv4(host, ipA, protocol, text(40)).bytes())
				l.drops(dataplane.SideIPv6, fromB4(alice(), ipv4(ipA, host, protocol, text(40))))
			}
		}},
	}
}
