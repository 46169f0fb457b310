package conformance

import (
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// web is where lwB4s connect to.
var web = netip.AddrPortFrom(host, 443)

// sizes are payloads from nothing to what a 1500-byte link carries tunnelled.
var sizes = []int{0, 1, 7, 8, 26, 512, 1400, 1432}

// encapsulationCases: RFC 7596 section 6.2, RFC 6333 sections 6.2 and 7.1.
func encapsulationCases() []testCase {
	return []testCase{
		{name: "encapsulate/udp", run: func(l *lab) {
			l.put(alice(), bob())
			for _, sw := range []softwire.Softwire{alice(), bob()} {
				p := udp4(web, at(sw), text(100))
				l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, sw, oneHop))
			}
		}},
		{name: "encapsulate/tcp", run: func(l *lab) {
			l.put(alice(), bob())
			for _, sw := range []softwire.Softwire{alice(), bob()} {
				p := tcp4(web, at(sw), text(100))
				l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, sw, oneHop))
			}
		}},
		{name: "encapsulate/sizes", run: func(l *lab) {
			l.put(alice())
			for _, n := range sizes {
				p := udp4(web, at(alice()), text(n))
				l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, alice(), oneHop))
			}
		}},
		{name: "encapsulate/traffic-class", run: func(l *lab) {
			l.put(alice())
			for _, tos := range []uint8{0x00, 0x01, 0x02, 0x03, 0x28, 0xb8, 0xff} {
				p := udp4(web, at(alice()), text(10)).withTOS(tos)
				l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, alice(), oneHop))
			}
		}},
		{name: "encapsulate/several-br-addresses", run: func(l *lab) {
			l.put(alice(), carol())
			for _, sw := range []softwire.Softwire{alice(), carol()} {
				p := udp4(web, at(sw), text(20))
				l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, sw, oneHop))
			}
		}},
		{name: "encapsulate/several-softwires-of-one-lwb4", run: func(l *lab) {
			second := alice()
			second.PortSet = set(0, 6, 40)
			third := carol()
			third.B4, third.BR = alice().B4, alice().BR
			l.put(alice(), second, third)
			for _, sw := range []softwire.Softwire{alice(), second, third} {
				p := udp4(web, at(sw), text(20))
				l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, sw, oneHop))
				p = udp4(at(sw), web, text(20))
				l.forwards(dataplane.SideIPv6, fromB4(sw, p), decapsulated(p, oneHop))
			}
		}},
		{name: "encapsulate/udp-without-checksum", run: func(l *lab) {
			l.put(alice())
			p := udp4(web, at(alice()), text(20))
			p.transport[6], p.transport[7] = 0, 0
			l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, alice(), oneHop))
		}},
		{name: "encapsulate/every-protocol-to-whole-address", run: func(l *lab) {
			l.put(carol())
			p := ipv4(host, carol().IPv4, layers.IPProtocolGRE, text(40))
			l.forwards(dataplane.SideIPv4, p.bytes(), encapsulated(p, carol(), oneHop))
		}},
	}
}

// decapsulationCases: RFC 7596 section 6.2.
func decapsulationCases() []testCase {
	return []testCase{
		{name: "decapsulate/udp", run: func(l *lab) {
			l.put(alice(), bob(), carol())
			for _, sw := range []softwire.Softwire{alice(), bob(), carol()} {
				p := udp4(at(sw), web, text(100))
				l.forwards(dataplane.SideIPv6, fromB4(sw, p), decapsulated(p, oneHop))
			}
		}},
		{name: "decapsulate/tcp", run: func(l *lab) {
			l.put(alice(), bob(), carol())
			for _, sw := range []softwire.Softwire{alice(), bob(), carol()} {
				p := tcp4(at(sw), web, text(100))
				l.forwards(dataplane.SideIPv6, fromB4(sw, p), decapsulated(p, oneHop))
			}
		}},
		{name: "decapsulate/sizes", run: func(l *lab) {
			l.put(alice())
			for _, n := range sizes {
				p := udp4(at(alice()), web, text(n))
				l.forwards(dataplane.SideIPv6, fromB4(alice(), p), decapsulated(p, oneHop))
			}
		}},
		{name: "decapsulate/outer-header-fields", run: func(l *lab) {
			// What a lwB4 puts into the free fields of its tunnel header does
			// not matter.
			l.put(alice())
			p := udp4(at(alice()), web, text(100)).withTOS(0x28)
			for _, o := range []outer{{flow: 0xfffff, hops: 255}, {flow: 1, hops: 2}} {
				o.src, o.dst, o.class = alice().B4, alice().BR, p.tos
				l.forwards(dataplane.SideIPv6, o.around(p.bytes()), decapsulated(p, oneHop))
			}
		}},
		{name: "decapsulate/every-protocol-from-whole-address", run: func(l *lab) {
			l.put(carol())
			p := ipv4(carol().IPv4, host, layers.IPProtocolGRE, text(40))
			l.forwards(dataplane.SideIPv6, fromB4(carol(), p), decapsulated(p, oneHop))
		}},
	}
}
