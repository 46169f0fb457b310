package differential

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/integration/differential/reference"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// quote draws how a packet is quoted by an ICMPv4 error.
func (g *generator) quote(p ipv4) []byte {
	if g.chance(12) {
		p.fragField |= uint16(g.IntN(3))
	}
	b := p.bytes()
	header := 20 + len(p.options)
	switch g.IntN(5) {
	case 0:
		b = b[:min(len(b), header+8)] // RFC 792
	case 1:
		b = b[:min(len(b), g.IntN(header+8))]
	default:
		b = b[:min(len(b), 548)] // RFC 1812
	}
	if len(b) > 0 && g.chance(12) {
		b[g.IntN(min(len(b), 24))] ^= 1 << g.IntN(8)
	}
	return b
}

// kind draws an ICMPv4 error.
func (g *generator) kind() (kind, code uint8, rest uint32) {
	kind = pick[uint8](g, 3, 3, 3, 11, 12, 4, 5)
	if kind == 3 {
		code = pick[uint8](g, 0, 1, 3, 4)
	}
	if code == 4 {
		rest = uint32(g.IntN(2000))
	}
	return kind, code, rest
}

// error4 is an ICMPv4 error from the Internet about a packet that a lwB4 sent.
func (g *generator) error4() Packet {
	_, src := g.bound()
	dst := g.remote()
	protocol, payload := g.content(src, dst, src.Port())
	if g.chance(10) {
		kind, code, rest := g.kind()
		protocol, payload = protocolICMP, g.icmp(kind, code, rest, g.octets(40))
	}
	about := g.dressed(src.Addr(), dst.Addr(), protocol, payload)
	to := src.Addr()
	if g.chance(15) {
		to = pick(g, g.softwires...).IPv4
	}
	kind, code, rest := g.kind()
	p := g.dressed(g.remote().Addr(), to, protocolICMP, g.icmp(kind, code, rest, g.quote(about)))
	return g.maybeCut4(p, fmt.Sprintf("ICMP error about protocol %d", protocol))
}

// errorFromB4 is an ICMPv4 error from a lwB4 about a packet that it received,
// from the Internet or another lwB4.
func (g *generator) errorFromB4() Packet {
	sw, dst := g.bound()
	src := g.remote()
	if g.chance(4) {
		_, src = g.bound()
	}
	protocol, payload := g.content(src, dst, dst.Port())
	about := g.dressed(src.Addr(), dst.Addr(), protocol, payload)
	from, to := dst.Addr(), src.Addr()
	if g.chance(15) {
		from = pick(g, g.softwires...).IPv4
	}
	if g.chance(15) {
		to = g.remote().Addr()
	}
	kind, code, rest := g.kind()
	p := g.dressed(from, to, protocolICMP, g.icmp(kind, code, rest, g.quote(about)))
	return g.throughTunnel(sw, p, fmt.Sprintf("ICMP error from a softwire about protocol %d", protocol))
}

// icmp6 is an ICMPv6 message in a packet.
func (g *generator) icmp6(src, dst netip.Addr, kind, code uint8, rest uint32, data []byte) Packet {
	b := binary.BigEndian.AppendUint32([]byte{kind, code, 0, 0}, rest)
	b = append(b, data...)
	binary.BigEndian.PutUint16(b[2:], checksum6(src, dst, protocolICMPv6, b))
	if g.chance(20) {
		b[g.IntN(len(b))] ^= 1 << g.IntN(8)
	}
	p := g.tunnel(src, dst, b)
	p.next = protocolICMPv6
	note := fmt.Sprintf("ICMPv6 %d/%d", kind, code)
	if g.chance(12) {
		return g.cutPacket6(p, note)
	}
	return Packet{dataplane.SideIPv6, note, p.bytes()}
}

// error6 is an ICMPv6 error about a packet that the lwAFTR sent, or could have
// sent.
func (g *generator) error6() Packet {
	router := netip.MustParseAddr("2001:db8:200::1")
	about := g.tunnelPacketSent()
	if len(about) < 40 {
		return g.echo6()
	}
	if g.chance(20) {
		about[g.IntN(min(len(about), 72))] ^= 1 << g.IntN(8)
	}
	switch g.IntN(8) {
	case 0:
		about = about[:g.IntN(len(about)+1)]
	case 1:
		about = about[:min(len(about), 40+28)]
	default:
		about = about[:min(len(about), 1232)]
	}
	to := netip.MustParseAddr("2001:db8:ff::1")
	if len(about) >= 24 && !g.chance(15) {
		to = netip.AddrFrom16([16]byte(about[8:]))
	}
	src := pick(g, router, router, g.softwires[0].B4)
	kind, code := pick[uint8](g, 1, 1, 2, 2, 2, 3, 4, 5, 100), uint8(g.IntN(7))
	rest := uint32(0)
	switch kind {
	case 2:
		code = uint8(g.IntN(8) / 7)
		rest = pick(g, 1280, 1400, 1500, 1000, 0, 20, 65536, 0xffffffff, uint32(g.IntN(1600)))
	case 3:
		code = uint8(g.IntN(3))
	case 4:
		rest = uint32(g.IntN(60))
	}
	return g.icmp6(src, to, kind, code, rest, about)
}

// tunnelPacketSent is a packet of those that were sent to lwB4s, or one like
// them.
func (g *generator) tunnelPacketSent() []byte {
	var candidates []reference.Packet
	for _, p := range g.sent {
		if p.Side == dataplane.SideIPv6 {
			candidates = append(candidates, p)
		}
	}
	if len(candidates) > 0 && !g.chance(4) {
		b := append([]byte(nil), pick(g, candidates...).Bytes...)
		b[7] = byte(g.IntN(64))
		return b
	}
	sw, dst := g.bound()
	src := g.remote()
	protocol, payload := g.content(src, dst, dst.Port())
	return g.tunnel(sw.BR, sw.B4, g.dressed(src.Addr(), dst.Addr(), protocol, payload).bytes()).bytes()
}

// echo6 is a ping of a BR address, or another informational message to it.
func (g *generator) echo6() Packet {
	br := pick(g, g.Network.BRs...)
	src := pick(g, g.softwires[0].B4, netip.MustParseAddr("2001:db8:200::9"))
	kind := pick[uint8](g, 128, 128, 128, 129, 135, 133, uint8(128+g.IntN(128)))
	return g.icmp6(src, br, kind, 0, g.Uint32(), g.octets(pick(g, 56, g.size())))
}
