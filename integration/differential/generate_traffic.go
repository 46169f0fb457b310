package differential

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// remote draws an endpoint on the Internet, now and then one that cannot be.
func (g *generator) remote() netip.AddrPort {
	ip := netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + g.IntN(6))})
	if g.chance(25) {
		ip = pick(g,
			netip.AddrFrom4([4]byte{255, 255, 255, 255}), netip.AddrFrom4([4]byte{224, 0, 0, 5}),
			netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.AddrFrom4([4]byte{0, 0, 0, 0}),
			netip.AddrFrom4([4]byte{0, 1, 2, 3}), netip.AddrFrom4([4]byte{240, 0, 0, 1}),
			netip.AddrFrom4([4]byte{10, 0, 0, 1}), netip.AddrFrom4([4]byte{192, 0, 0, 1}),
			g.config.IPv4Address, g.softwires[0].IPv4,
		)
	}
	return netip.AddrPortFrom(ip, pick(g, 80, 443, 5351, uint16(g.Uint32())))
}

// bound draws a softwire and an endpoint of it, now and then one that is
// another's or nobody's.
func (g *generator) bound() (softwire.Softwire, netip.AddrPort) {
	sw := pick(g, g.softwires...)
	at := netip.AddrPortFrom(sw.IPv4, g.portOf(sw))
	switch g.IntN(20) {
	case 0:
		at = netip.AddrPortFrom(sw.IPv4, uint16(g.Uint32()))
	case 1:
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(g.Uint32())}), at.Port())
	}
	return sw, at
}

// portOf draws a port of a softwire, often at an edge of one of its ranges.
func (g *generator) portOf(sw softwire.Softwire) uint16 {
	n := 0
	for range sw.PortSet.Ranges() {
		n++
	}
	wanted := g.IntN(n)
	for r := range sw.PortSet.Ranges() {
		if wanted--; wanted < 0 {
			return pick(g, r.First, r.Last, r.First+uint16(g.IntN(int(r.Last-r.First)+1)))
		}
	}
	return 0
}

// fromInternet is a packet from the Internet to a softwire.
func (g *generator) fromInternet() Packet {
	src := g.remote()
	_, dst := g.bound()
	protocol, payload := g.content(src, dst, dst.Port())
	p := g.dressed(src.Addr(), dst.Addr(), protocol, payload)
	note := fmt.Sprintf("to a softwire, protocol %d", protocol)
	return g.maybeCut4(p, note)
}

// maybeCut4 is a packet from the Internet, or the first of its fragments.
func (g *generator) maybeCut4(p ipv4, note string) Packet {
	if !g.chance(4) {
		return Packet{dataplane.SideIPv4, note, p.bytes()}
	}
	var all []Packet
	for i, b := range g.cut4(p) {
		all = append(all, Packet{dataplane.SideIPv4, fmt.Sprintf("%s, fragment %d", note, i), b})
	}
	return g.shuffled(all)
}

// fromB4 is a packet from a lwB4 to the Internet.
func (g *generator) fromB4() Packet {
	sw, src := g.bound()
	dst := g.remote()
	protocol, payload := g.content(src, dst, src.Port())
	p := g.dressed(src.Addr(), dst.Addr(), protocol, payload)
	return g.throughTunnel(sw, p, fmt.Sprintf("from a softwire, protocol %d", protocol))
}

// hairpin is a packet from one lwB4 to another.
func (g *generator) hairpin() Packet {
	sw, src := g.bound()
	_, dst := g.bound()
	protocol, payload := g.content(src, dst, pick(g, src, dst).Port())
	p := g.dressed(src.Addr(), dst.Addr(), protocol, payload)
	return g.throughTunnel(sw, p, fmt.Sprintf("from softwire to softwire, protocol %d", protocol))
}

// throughTunnel sends a packet through a softwire, now and then through one
// that is not its own, and maybe in fragments of either kind.
func (g *generator) throughTunnel(sw softwire.Softwire, p ipv4, note string) Packet {
	src, dst := sw.B4, sw.BR
	switch g.IntN(40) {
	case 0:
		src = pick(g, g.softwires...).B4
	case 1:
		dst = pick(g, g.Network.BRs...)
	case 2:
		src = pick(g, b4(99), sw.BR, netip.IPv6Unspecified(), netip.MustParseAddr("ff02::1"), netip.IPv6LinkLocalAllNodes(),
			netip.IPv6Loopback(), netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("fe80::1"))
	case 3:
		dst = pick(g, netip.MustParseAddr("2001:db8:ffff::1"), sw.B4)
	}
	inner := [][]byte{p.bytes()}
	if g.chance(6) {
		inner = g.cut4(p)
		note += ", IPv4 fragment"
	}
	var all []Packet
	for i, b := range inner {
		q := g.tunnel(src, dst, b)
		outer := [][]byte{q.bytes()}
		if g.chance(5) {
			outer = g.cut6(q)
		}
		for j, b := range outer {
			all = append(all, Packet{dataplane.SideIPv6, fmt.Sprintf("%s, %d/%d", note, i, j), b})
		}
	}
	return g.shuffled(all)
}

// echo4 is a ping of the lwAFTR's IPv4 address, from either side.
func (g *generator) echo4() Packet {
	message := g.icmp(pick[uint8](g, 8, 8, 8, 0, uint8(g.Uint32())), 0, g.Uint32(), g.octets(g.size()))
	if g.chance(2) {
		p := g.dressed(g.remote().Addr(), g.config.IPv4Address, protocolICMP, message)
		return g.maybeCut4(p, "to the lwAFTR")
	}
	sw, src := g.bound()
	if len(message) > 6 && g.chance(2) {
		message = g.icmp(8, 0, uint32(src.Port())<<16|7, message[8:])
	}
	return g.throughTunnel(sw, g.dressed(src.Addr(), g.config.IPv4Address, protocolICMP, message), "softwire to the lwAFTR")
}

// pcp is PCP or nearly so, in a softwire or not.
func (g *generator) pcp() Packet {
	payload := g.octets(pick(g, 24, 60, g.IntN(1500)))
	sw, _ := g.bound()
	src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 0, byte(g.IntN(10))}), uint16(g.Uint32()))
	dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 0, 1}), pick[uint16](g, 5351, 5351, 5351, 5350))
	if g.chance(2) {
		udp := g.segment(src, dst, pick(g, protocolUDP, protocolUDP, protocolTCP), len(payload)+8)
		p := g.dressed(src.Addr(), dst.Addr(), protocolUDP, udp)
		if g.chance(3) {
			sw.B4 = b4(50)
		}
		return g.throughTunnel(sw, p, "PCP in a softwire")
	}
	udp := append(binary.BigEndian.AppendUint16([]byte{16, 0}, dst.Port()), 0, byte(8+len(payload)), 0, 0)
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(payload)))
	udp = append(udp, payload...)
	from := pick(g, sw.B4, netip.MustParseAddr("2001:db8:200::9"))
	binary.BigEndian.PutUint16(udp[6:], checksum6(from, sw.BR, protocolUDP, udp))
	p := g.tunnel(from, sw.BR, udp)
	p.next = protocolUDP
	if g.chance(5) {
		return g.cutPacket6(p, "PCP")
	}
	return Packet{dataplane.SideIPv6, "PCP", p.bytes()}
}

// cutPacket6 is the first of a packet's fragments.
func (g *generator) cutPacket6(p ipv6, note string) Packet {
	var all []Packet
	for i, b := range g.cut6(p) {
		all = append(all, Packet{dataplane.SideIPv6, fmt.Sprintf("%s, fragment %d", note, i), b})
	}
	return g.shuffled(all)
}

// other6 is IPv6 that is no tunnel packet.
func (g *generator) other6() Packet {
	sw := pick(g, g.softwires...)
	p := g.tunnel(pick(g, sw.B4, netip.MustParseAddr("2001:db8:200::9")), sw.BR, g.octets(g.IntN(200)))
	p.next = pick(g, protocolNone, protocolTCP, protocolUDP, protocolESP, protocolGRE, uint8(41), uint8(51), uint8(g.Uint32()))
	return Packet{dataplane.SideIPv6, fmt.Sprintf("no tunnel, protocol %d", p.next), p.bytes()}
}
