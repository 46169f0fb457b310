package conformance

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// portCases: the inner source port is in the softwire's port set.
func portCases() []testCase {
	from := func(sw softwire.Softwire, port uint16) []byte {
		return fromB4(sw, udp4(netip.AddrPortFrom(sw.IPv4, port), web, text(30)))
	}
	outside := func(name string, packet func(sw softwire.Softwire, port uint16) packet4) testCase {
		return testCase{
			name: "inner-port/" + name, required: true, detects: []Check{InnerPort},
			run: func(l *lab) {
				l.put(alice())
				// The set is 5120 to 6143.
				for _, port := range []uint16{5119, 6144, 0, 1, 33000, 65535} {
					l.drops(dataplane.SideIPv6, fromB4(alice(), packet(alice(), port)))
				}
				inside := packet(alice(), 5120)
				l.forwards(dataplane.SideIPv6, fromB4(alice(), inside), decapsulated(inside, oneHop))
			},
		}
	}
	all := []testCase{
		outside("udp", func(sw softwire.Softwire, port uint16) packet4 {
			return udp4(netip.AddrPortFrom(sw.IPv4, port), web, text(30))
		}),
		outside("tcp", func(sw softwire.Softwire, port uint16) packet4 {
			return tcp4(netip.AddrPortFrom(sw.IPv4, port), web, text(30))
		}),
		outside("echo-request-identifier", func(sw softwire.Softwire, port uint16) packet4 {
			return echo(sw.IPv4, host, echoRequest, port)
		}),
		outside("echo-reply-identifier", func(sw softwire.Softwire, port uint16) packet4 {
			return echo(sw.IPv4, host, echoReply, port)
		}),
		{
			name: "inner-port/other-lwb4s", required: true, mayDetect: []Check{OuterSource, InnerPort},
			run: func(l *lab) {
				l.put(alice(), bob())
				l.drops(dataplane.SideIPv6, from(alice(), portOf(bob())))
				l.drops(dataplane.SideIPv6, from(bob(), portOf(alice())))
				below, above := alice(), alice()
				below.PortSet, below.B4 = set(0, 6, 4), b4(10)
				above.PortSet, above.B4 = set(0, 6, 6), b4(11)
				l.put(below, above)
				for _, port := range []uint16{5119, 6144} {
					l.drops(dataplane.SideIPv6, from(alice(), port))
				}
			},
		},
	}
	for _, e := range edges() {
		all = append(all, testCase{
			name:     fmt.Sprintf("inner-port/a%d-k%d", e.a, e.k),
			required: true, detects: []Check{InnerPort},
			run: func(l *lab) {
				sw := e.softwire()
				l.put(sw)
				for _, port := range append(e.out, e.excluded...) {
					l.drops(dataplane.SideIPv6, from(sw, port))
				}
			},
		})
	}
	return all
}
