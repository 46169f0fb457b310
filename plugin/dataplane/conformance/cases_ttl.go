package conformance

import (
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// ttlCases: a lwAFTR is a router: it decrements the TTL once in each direction
// and answers an expired one (RFC 1812 sections 4.3.2.7 and 5.3.1).
func ttlCases() []testCase {
	return []testCase{
		{name: "ttl/decremented-once-to-lwb4", run: func(l *lab) {
			l.put(alice())
			for _, ttl := range []uint8{2, 3, 64, 255} {
				p := udp4(web, at(alice()), text(30)).withTTL(ttl)
				l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, alice(), once))
			}
		}},
		{name: "ttl/decremented-once-from-lwb4", run: func(l *lab) {
			l.put(alice())
			for _, ttl := range []uint8{2, 3, 64, 255} {
				p := udp4(at(alice()), web, text(30)).withTTL(ttl)
				l.forwards(dataplane.SideIPv6, fromB4(alice(), p), decapsulated(p, once))
			}
		}},
		{name: "ttl/expired-to-lwb4", required: true, run: func(l *lab) {
			l.put(alice())
			for _, ttl := range []uint8{0, 1} {
				l.drops(dataplane.SideIPv4, udp4(web, at(alice()), text(30)).withTTL(ttl).bytes())
			}
		}},
		{name: "ttl/expired-from-lwb4", required: true, run: func(l *lab) {
			l.put(alice())
			for _, ttl := range []uint8{0, 1} {
				p := udp4(at(alice()), web, text(30)).withTTL(ttl)
				l.drops(dataplane.SideIPv6, fromB4(alice(), p))
			}
		}},
		{name: "ttl/expired-hairpin", required: true, run: func(l *lab) {
			l.put(alice(), carol())
			for _, ttl := range []uint8{0, 1} {
				p := udp4(at(alice()), at(carol()), text(30)).withTTL(ttl)
				l.drops(dataplane.SideIPv6, fromB4(alice(), p))
			}
		}},
		{name: "ttl/time-exceeded-to-ipv4-side", run: func(l *lab) {
			l.put(alice())
			for _, p := range []packet4{
				udp4(web, at(alice()), text(30)).withTTL(1),
				tcp4(web, at(alice()), text(30)).withTTL(1),
				echo(host, ipA, echoRequest, portOf(alice())).withTTL(1),
			} {
				l.forwards(dataplane.SideIPv4, p.bytes(), icmpError(p, timeExceeded, 0))
			}
		}},
		{name: "ttl/time-exceeded-to-lwb4", run: func(l *lab) {
			l.put(alice())
			for _, p := range []packet4{
				udp4(at(alice()), web, text(30)).withTTL(1),
				tcp4(at(alice()), web, text(30)).withTTL(1),
				echo(ipA, host, echoRequest, portOf(alice())).withTTL(1),
			} {
				l.forwards(dataplane.SideIPv6, fromB4(alice(), p), tunnelledError(p, alice(), timeExceeded, 0))
			}
		}},
		{name: "ttl/no-error-about-an-error", run: func(l *lab) {
			// RFC 1812 section 4.3.2.7.
			l.put(alice())
			p := icmp4(host2, ipA, unreachable, 3, 0, udp4(at(alice()), web, text(60)).quoted()).withTTL(1)
			l.dropsSilently(dataplane.SideIPv4, p.bytes())
		}},
		{
			name: "ttl/expired-and-spoofed", required: true, mayDetect: []Check{OuterSource},
			run: func(l *lab) {
				// Nobody can make the lwAFTR send errors to a third lwB4.
				l.put(alice(), carol())
				p := udp4(at(alice()), web, text(30)).withTTL(1)
				l.drops(dataplane.SideIPv6, outer{src: b4(99), dst: alice().BR, hops: 64}.around(p.bytes()))
			},
		},
	}
}
