package differential

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// ipv6 is what a packet of the IPv6 side is made from.
type ipv6 struct {
	src, dst netip.Addr
	class    uint8
	flow     uint32
	hops     uint8
	next     uint8 // of payload
	payload  []byte
	headers  []header6 // before payload
}

// header6 is an extension header without its Next Header octet.
type header6 struct {
	kind uint8
	body []byte
}

func (p ipv6) bytes() []byte {
	var headers []byte
	first := p.next
	for i, h := range p.headers {
		next := p.next
		if i+1 < len(p.headers) {
			next = p.headers[i+1].kind
		}
		headers = append(append(headers, next), h.body...)
	}
	if len(p.headers) > 0 {
		first = p.headers[0].kind
	}
	fixed := make([]byte, 40)
	binary.BigEndian.PutUint32(fixed, 6<<28|uint32(p.class)<<20|p.flow)
	binary.BigEndian.PutUint16(fixed[4:], uint16(len(headers)+len(p.payload)))
	fixed[6], fixed[7] = first, p.hops
	src, dst := p.src.As16(), p.dst.As16()
	copy(fixed[8:], src[:])
	copy(fixed[24:], dst[:])
	return slices.Concat(fixed, headers, p.payload)
}

// checksum6 is the checksum of an upper-layer packet between src and dst.
func checksum6(src, dst netip.Addr, protocol uint8, segment []byte) uint16 {
	s, d := src.As16(), dst.As16()
	pseudo := binary.BigEndian.AppendUint32(slices.Concat(s[:], d[:]), uint32(len(segment)))
	pseudo = append(pseudo, 0, 0, 0, protocol)
	return checksum(append(pseudo, segment...))
}

// headers draws extension headers, mostly none.
func (g *generator) headers() []header6 {
	if !g.chance(6) {
		return nil
	}
	limit := []byte{0, 4, 1, byte(g.IntN(5)), 1, 1, 0}
	unknown := []byte{0, byte(g.Uint32()), 4, 1, 2, 3, 4}
	broken := []byte{0, 1, byte(g.IntN(9)), 0, 0, 0, byte(g.IntN(3))}
	pads := slices.Concat([]byte{1, 1, 12}, make([]byte, 12))
	routing := []byte{0, byte(g.IntN(5)), byte(g.IntN(8) / 7), 0, 0, 0, 0}
	atomic := []byte{0, 0, pick[byte](g, 0, 0, 0, 6), 1, 2, 3, byte(g.Uint32())}
	var all []header6
	for range 1 + g.IntN(2) {
		all = append(all, pick(g,
			header6{protocolOptions, limit}, header6{protocolOptions, limit},
			header6{protocolOptions, pads}, header6{protocolOptions, unknown}, header6{protocolOptions, broken},
			header6{protocolHopByHop, pads}, header6{protocolHopByHop, unknown},
			header6{protocolRouting, routing},
			header6{protocolFragment, atomic},
		))
	}
	if g.chance(20) {
		h := &all[g.IntN(len(all))]
		h.body = slices.Clone(h.body)
		h.body[0] = byte(g.IntN(4)) // another length
	}
	return all
}

// protocolHopByHop is the Next Header value of Hop-by-Hop Options.
const protocolHopByHop = uint8(0)

// tunnel wraps an inner packet, in a header that mostly suits it.
func (g *generator) tunnel(src, dst netip.Addr, inner []byte) ipv6 {
	p := ipv6{
		src: src, dst: dst, next: protocolIPv4, payload: inner,
		hops: pick[uint8](g, 64, 64, 255, 1, 0),
		flow: g.Uint32N(1 << 20), headers: g.headers(),
	}
	if len(inner) > 1 && !g.chance(8) {
		p.class = inner[1]
		if g.chance(3) {
			p.class = p.class&^3 | uint8(g.IntN(4))
		}
	} else {
		p.class = uint8(g.Uint32())
	}
	if most := 65535 - 64; len(p.payload) > most {
		p.payload = p.payload[:most]
	}
	return p
}

// cut6 cuts a packet into fragments with random borders, some of which are
// wrong. Headers of the packet stay before the Fragment header.
func (g *generator) cut6(p ipv6) [][]byte {
	id := g.Uint32N(1 << 16)
	var all [][]byte
	whole := p.payload
	if g.chance(2) && len(p.headers) > 0 {
		// Behind it: destination options are for the end of the path.
		packed := ipv6{src: p.src, dst: p.dst, next: p.next, payload: p.payload, headers: p.headers}.bytes()
		whole = packed[40:]
		p.next, p.headers = packed[6], nil
	}
	for at := 0; at < len(whole); {
		size := min(8*(1+g.IntN(max(1, len(whole)/8))), 1200)
		if g.chance(60) {
			size += g.IntN(8)
		}
		to := min(at+size, len(whole))
		field := uint16(at)
		if to < len(whole) {
			field |= 1
		}
		if g.chance(60) {
			field += 8 // overlaps the next, or leaves a hole
		}
		if g.chance(30) {
			field ^= 1 // another end
		}
		body := binary.BigEndian.AppendUint16([]byte{0}, field)
		body = binary.BigEndian.AppendUint32(body, id)
		f := p
		f.headers = append(slices.Clone(p.headers), header6{protocolFragment, body})
		f.payload = whole[at:to]
		if g.chance(40) {
			f.class ^= uint8(1 + g.IntN(3))
		}
		if g.chance(60) {
			f.next ^= 1
		}
		all = append(all, f.bytes())
		at = to
	}
	if len(all) == 0 {
		all = append(all, p.bytes())
	}
	return all
}
