package conformance

import (
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// icmpInCases: ICMPv4 from the Internet (RFC 7596 section 8.1).
func icmpInCases() []testCase {
	return []testCase{
		{name: "icmp-in/echo-by-identifier", run: func(l *lab) {
			l.put(alice(), bob(), carol())
			for _, kind := range []uint8{echoRequest, echoReply} {
				for _, sw := range []softwire.Softwire{alice(), bob(), carol()} {
					p := echo(host, sw.IPv4, kind, portOf(sw))
					l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, sw, oneHop))
				}
				for _, id := range []uint16{5120, 6143} {
					p := echo(host, ipA, kind, id)
					l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, alice(), oneHop))
				}
			}
		}},
		{name: "icmp-in/echo-to-unbound-identifier", required: true, run: func(l *lab) {
			// "Otherwise, it MUST discard the packet."
			l.put(alice())
			for _, id := range []uint16{0, 5119, 6144, 65535} {
				l.drops(dataplane.SideIPv4, echo(host, ipA, echoRequest, id).bytes())
				l.drops(dataplane.SideIPv4, echo(host, ipA, echoReply, id).bytes())
			}
			l.drops(dataplane.SideIPv4, echo(host, ipFree, echoRequest, 5200).bytes())
		}},
		{name: "icmp-in/error-by-embedded-source-port", run: func(l *lab) {
			l.put(alice(), bob(), carol())
			for _, sw := range []softwire.Softwire{alice(), bob(), carol()} {
				for _, sent := range sentBy(sw) {
					for _, e := range errors4() {
						p := icmp4(host2, sw.IPv4, e.kind, e.code, e.rest, sent.quoted())
						l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, sw, oneHop))
					}
				}
			}
		}},
		{name: "icmp-in/error-about-packet-with-options", run: func(l *lab) {
			l.put(alice(), bob())
			sent := withOptions(udp4(at(bob()), web, text(60)))
			p := icmp4(host2, ipA, unreachable, 3, 0, sent.quoted())
			l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, bob(), oneHop))
		}},
		{name: "icmp-in/error-about-unbound-port", required: true, run: func(l *lab) {
			// RFC 5508 section 4.2.1 REQ-4: silently; and no error is ever sent
			// about an error (RFC 1122 section 3.2.2).
			l.put(alice())
			for _, port := range []uint16{0, 5119, 6144, 65535} {
				sent := udp4(netip.AddrPortFrom(ipA, port), web, text(60))
				p := icmp4(host2, ipA, unreachable, 3, 0, sent.quoted())
				l.dropsSilently(dataplane.SideIPv4, p.bytes())
			}
			sent := udp4(netip.AddrPortFrom(ipFree, 5200), web, text(60))
			l.dropsSilently(dataplane.SideIPv4, icmp4(host2, ipFree, timeExceeded, 0, 0, sent.quoted()).bytes())
		}},
		{name: "icmp-in/error-without-ports", required: true, run: func(l *lab) {
			// The quotation is cut before the port, or is of a protocol that has
			// none: nobody's on a shared address, whatever bytes stand there.
			l.put(alice())
			sw := alice()
			sw.PortSet, sw.B4 = set(0, 6, 0), b4(12)
			l.put(sw)
			quote := udp4(at(alice()), web, text(60)).quoted()
			for _, n := range []int{0, 1, 19, 20, 21} {
				l.dropsSilently(dataplane.SideIPv4, icmp4(host2, ipA, unreachable, 3, 0, quote[:n]).bytes())
			}
			gre := ipv4(ipA, host, layers.IPProtocolGRE, udp4(at(alice()), web, nil).transport)
			l.dropsSilently(dataplane.SideIPv4, icmp4(host2, ipA, unreachable, 2, 0, gre.quoted()).bytes())
		}},
		{name: "icmp-in/other-types", required: true, run: func(l *lab) {
			// "Otherwise, the lwAFTR MUST discard all inbound ICMPv4 messages."
			l.put(alice())
			p := icmp4(host, ipA, timestamp, 0, uint32(portOf(alice()))<<16, text(12))
			l.drops(dataplane.SideIPv4, p.bytes())
		}},
	}
}

// icmpOutCases: ICMPv4 from a lwB4. It is forwarded under the same checks as
// everything else; the cases of what is refused besides are in portCases.
func icmpOutCases() []testCase {
	return []testCase{
		{name: "icmp-out/echo-by-identifier", run: func(l *lab) {
			l.put(alice(), carol())
			for _, kind := range []uint8{echoRequest, echoReply} {
				for _, id := range []uint16{5120, portOf(alice()), 6143} {
					p := echo(ipA, host, kind, id)
					l.forwards(dataplane.SideIPv6, fromB4(alice(), p), decapsulated(p, oneHop))
				}
				p := echo(ipC, host, kind, 0)
				l.forwards(dataplane.SideIPv6, fromB4(carol(), p), decapsulated(p, oneHop))
			}
		}},
		{name: "icmp-out/error-by-embedded-destination-port", run: func(l *lab) {
			// The lwB4 was the destination of the packet it complains about.
			l.put(alice(), carol())
			for _, sw := range []softwire.Softwire{alice(), carol()} {
				for _, received := range []packet4{udp4(web, at(sw), text(60)), tcp4(web, at(sw), text(60))} {
					p := icmp4(sw.IPv4, host, unreachable, 3, 0, received.quoted())
					l.forwards(dataplane.SideIPv6, fromB4(sw, p), decapsulated(p, oneHop))
				}
			}
		}},
		{
			name: "icmp-out/error-outside-the-port-set", required: true, detects: []Check{InnerPort},
			run: func(l *lab) {
				l.put(alice())
				for _, port := range []uint16{5119, 6144} {
					received := udp4(web, netip.AddrPortFrom(ipA, port), text(60))
					p := icmp4(ipA, host, unreachable, 3, 0, received.quoted())
					l.drops(dataplane.SideIPv6, fromB4(alice(), p))
				}
			},
		},
		{
			name: "icmp-out/error-outer-source", required: true, detects: []Check{OuterSource},
			run: func(l *lab) {
				l.put(alice())
				p := icmp4(ipA, host, unreachable, 3, 0, udp4(web, at(alice()), text(60)).quoted())
				l.refuses(alice(), p, b4(99), alice().BR)
			},
		},
	}
}

// sentBy is what sw's lwB4 sent and somebody complains about.
func sentBy(sw softwire.Softwire) []packet4 {
	return []packet4{
		udp4(at(sw), web, text(60)),
		tcp4(at(sw), web, text(60)),
		echo(sw.IPv4, host, echoRequest, portOf(sw)),
	}
}

type error4 struct {
	kind, code uint8
	rest       uint32 // the four bytes after the checksum
}

// errors4 are ICMPv4 errors, the one with a next-hop MTU (RFC 1191) among them.
func errors4() []error4 {
	return []error4{
		{unreachable, 1, 0}, {unreachable, 3, 0}, {unreachable, 4, 1400},
		{timeExceeded, 0, 0}, {parameterProblem, 0, 8 << 24},
	}
}

// withOptions adds a record route option, eight bytes long.
func withOptions(p packet4) packet4 {
	const recordRoute = 7
	p.options = []layers.IPv4Option{{OptionType: recordRoute, OptionLength: 7, OptionData: []byte{4, 0, 0, 0, 0}}}
	return p
}
