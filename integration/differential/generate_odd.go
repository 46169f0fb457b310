package differential

import (
	"encoding/binary"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// odd is a packet at a limit of some header, or beyond it, that chance alone
// would hardly hit.
func (g *generator) odd() Packet {
	return pick(g, g.farFragment4, g.farFragment6, g.emptyFragment, g.shortHeader, g.longChain, g.scattered)()
}

// scattered is one packet between lwB4s whose fragments take different ways:
// they are of one packet only where they came the same way.
func (g *generator) scattered() Packet {
	sw, src := g.bound()
	_, dst := g.bound()
	p := g.dressed(src.Addr(), dst.Addr(), protocolUDP, g.segment(src, dst, protocolUDP, 40+g.IntN(80)))
	other := pick(g, g.softwires...)
	var all []Packet
	for i, b := range g.cut4(p) {
		note := fmt.Sprintf("scattered fragment %d", i)
		if g.chance(4) {
			all = append(all, Packet{dataplane.SideIPv4, note, b})
		}
		if g.chance(4) {
			all = append(all, Packet{dataplane.SideIPv6, note, g.tunnel(other.B4, other.BR, b).bytes()})
		}
		all = append(all, Packet{dataplane.SideIPv6, note, g.tunnel(sw.B4, sw.BR, b).bytes()})
	}
	return g.shuffled(all)
}

// farOffset is a fragment offset in octets near the end of the longest packet.
func (g *generator) farOffset() int { return 65535&^7 - 8*g.IntN(6) }

// farFragment4 is an IPv4 fragment that may reach beyond the longest packet,
// from either side.
func (g *generator) farFragment4() Packet {
	sw, own := g.bound()
	far := g.remote()
	src, dst := far.Addr(), own.Addr()
	fromB4 := g.chance(2)
	if fromB4 {
		src, dst = dst, src
	}
	p := g.dressed(src, dst, pick(g, protocolUDP, protocolTCP, protocolGRE), g.octets(8*(1+g.IntN(6))))
	p.fragField |= uint16(g.farOffset() / 8)
	if g.chance(2) {
		p.payload = p.payload[:len(p.payload)-g.IntN(8)]
	} else {
		p.fragField |= flagMF
	}
	// The rest of the packet, with a header of another length, as one more
	// fragment: the whole may be too long though no fragment is.
	rest := p
	rest.fragField = rest.fragField&flagDF | flagMF
	rest.payload = g.octets(int(p.fragField&0x1fff) * 8)
	rest.options = pick(g, nil, []byte{1, 1, 1, 0}, make([]byte, 40))
	if most := (65535 - 20 - len(rest.options)) &^ 7; len(rest.payload) > most {
		rest.payload = rest.payload[:most]
	}
	var all []Packet
	for _, f := range []ipv4{p, rest} {
		if fromB4 {
			if len(f.payload) > 65000 {
				continue // does not fit into one tunnel packet
			}
			q := g.tunnel(sw.B4, sw.BR, f.bytes())
			all = append(all, Packet{dataplane.SideIPv6, "far fragment in a softwire", q.bytes()})
			continue
		}
		all = append(all, Packet{dataplane.SideIPv4, "far fragment", f.bytes()})
	}
	return g.shuffled(all)
}

// fragment6 is a fragment of a tunnel packet.
func (g *generator) fragment6(offset int, more bool, headers []header6, data []byte) []byte {
	sw, _ := g.bound()
	field := uint16(offset)
	if more {
		field |= 1
	}
	body := binary.BigEndian.AppendUint16([]byte{0}, field)
	body = binary.BigEndian.AppendUint32(body, g.Uint32N(4))
	p := g.tunnel(sw.B4, sw.BR, data)
	p.headers = append(headers, header6{protocolFragment, body})
	return p.bytes()
}

// farFragment6 is the end of a tunnel packet that may be longer than the
// longest, and maybe all the rest of it.
func (g *generator) farFragment6() Packet {
	at := g.farOffset()
	note := "far fragment of a tunnel packet"
	all := []Packet{{dataplane.SideIPv6, note, g.fragment6(at, g.chance(2), nil, g.octets(8*(1+g.IntN(6))))}}
	for from := 0; from < at; {
		n := min(at-from, 32768)
		headers := g.headers()
		all = append(all, Packet{dataplane.SideIPv6, note, g.fragment6(from, true, headers, g.octets(n))})
		from += n
	}
	return g.shuffled(all)
}

// emptyFragment has no data.
func (g *generator) emptyFragment() Packet {
	if g.chance(2) {
		return Packet{dataplane.SideIPv6, "empty fragment of a tunnel packet", g.fragment6(8*g.IntN(3), g.chance(2), nil, nil)}
	}
	_, own := g.bound()
	p := g.dressed(g.remote().Addr(), own.Addr(), protocolUDP, nil)
	p.fragField |= pick[uint16](g, flagMF, flagMF|2, 2)
	return Packet{dataplane.SideIPv4, "empty fragment", p.bytes()}
}

// shortHeader ends in the middle of a header.
func (g *generator) shortHeader() Packet {
	sw, _ := g.bound()
	p := g.tunnel(sw.B4, sw.BR, g.octets(g.IntN(8)))
	p.next = pick(g, protocolHopByHop, protocolOptions, protocolRouting, protocolFragment, protocolICMPv6, protocolUDP, protocolIPv4)
	return Packet{dataplane.SideIPv6, "cut in a header", p.bytes()}
}

// longChain has many extension headers before a packet of any kind, maybe
// behind a Fragment header.
func (g *generator) longChain() Packet {
	sw, own := g.bound()
	p := g.tunnel(sw.B4, sw.BR, g.dressed(own.Addr(), g.remote().Addr(), protocolUDP, g.octets(40)).bytes())
	p.headers = nil
	for range 5 + g.IntN(6) {
		p.headers = append(p.headers, header6{protocolOptions, []byte{0, 1, 4, 0, 0, 0, 0}})
	}
	p.next = pick(g, protocolIPv4, protocolIPv4, protocolICMPv6, protocolTCP, uint8(41), protocolNone)
	if g.chance(2) {
		return g.cutPacket6(p, "many headers")
	}
	return Packet{dataplane.SideIPv6, "many headers", p.bytes()}
}
