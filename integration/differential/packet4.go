package differential

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// IP protocol numbers that packets are made with.
const (
	protocolICMP     = uint8(layers.IPProtocolICMPv4)
	protocolIPv4     = uint8(layers.IPProtocolIPv4)
	protocolTCP      = uint8(layers.IPProtocolTCP)
	protocolUDP      = uint8(layers.IPProtocolUDP)
	protocolDCCP     = uint8(33)
	protocolRouting  = uint8(layers.IPProtocolIPv6Routing)
	protocolFragment = uint8(layers.IPProtocolIPv6Fragment)
	protocolGRE      = uint8(layers.IPProtocolGRE)
	protocolESP      = uint8(layers.IPProtocolESP)
	protocolICMPv6   = uint8(layers.IPProtocolICMPv6)
	protocolNone     = uint8(layers.IPProtocolNoNextHeader)
	protocolOptions  = uint8(layers.IPProtocolIPv6Destination)
	protocolSCTP     = uint8(layers.IPProtocolSCTP)
	protocolUDPLite  = uint8(layers.IPProtocolUDPLite)
)

// ipv4 is what a packet is made from. Everything may be wrong but lengths and
// the header checksum, which are spoiled afterwards.
type ipv4 struct {
	src, dst      netip.Addr
	tos, ttl      uint8
	id, fragField uint16 // fragField is flags and offset as on the wire
	protocol      uint8
	options       []byte
	payload       []byte
}

const (
	flagDF = 0x4000
	flagMF = 0x2000
)

func (p ipv4) bytes() []byte {
	header := make([]byte, 20, 20+len(p.options)+len(p.payload))
	header[0] = 4<<4 | uint8(5+len(p.options)/4)
	header[1], header[8], header[9] = p.tos, p.ttl, p.protocol
	binary.BigEndian.PutUint16(header[2:], uint16(20+len(p.options)+len(p.payload)))
	binary.BigEndian.PutUint16(header[4:], p.id)
	binary.BigEndian.PutUint16(header[6:], p.fragField)
	src, dst := p.src.As4(), p.dst.As4()
	copy(header[12:], src[:])
	copy(header[16:], dst[:])
	b := slices.Concat(header, p.options, p.payload)
	mend(b)
	return b
}

// mend puts the header checksum of an IPv4 packet right, if it has a header.
func mend(b []byte) {
	if len(b) < 20 || int(b[0]&15)*4 > len(b) || b[0]&15 < 5 {
		return
	}
	header := b[:int(b[0]&15)*4]
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], checksum(header))
}

// checksum is the Internet checksum of b.
func checksum(b []byte) uint16 { return gopacket.FoldChecksum(gopacket.ComputeChecksum(b, 0)) }

// checksum4 is the checksum of a transport segment between src and dst.
func checksum4(src, dst netip.Addr, protocol uint8, segment []byte) uint16 {
	s, d := src.As4(), dst.As4()
	pseudo := slices.Concat(s[:], d[:], []byte{0, protocol, byte(len(segment) >> 8), byte(len(segment))})
	return checksum(append(pseudo, segment...))
}

// segment makes what is behind the IPv4 header of a packet of a protocol with
// ports. Its data fills it to size octets.
func (g *generator) segment(src, dst netip.AddrPort, protocol uint8, size int) []byte {
	var b []byte
	switch protocol {
	case protocolTCP:
		b = g.tcp()
	case protocolUDP, protocolUDPLite:
		b = make([]byte, 8)
		binary.BigEndian.PutUint16(b[4:], uint16(max(8, size)))
	default:
		b = g.octets(16)
	}
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	if size > len(b) {
		b = append(b, g.octets(size-len(b))...)
	}
	if at := map[uint8]int{protocolTCP: 16, protocolUDP: 6}[protocol]; at > 0 && !g.chance(10) {
		b[at], b[at+1] = 0, 0
		binary.BigEndian.PutUint16(b[at:], checksum4(src.Addr(), dst.Addr(), protocol, b))
	}
	if g.chance(25) {
		b = b[:g.IntN(min(len(b), 24))]
	}
	return b
}

// tcp makes a TCP header, often of a handshake and with an MSS option that may
// stand anywhere.
func (g *generator) tcp() []byte {
	const syn, ack, rst = 2, 16, 4
	b := g.octets(20)
	b[13] = pick[byte](g, syn, syn|ack, syn, ack, rst|syn, 0)
	var options []byte
	for range g.IntN(4) {
		options = append(options, pick(g,
			[]byte{1},
			[]byte{2, 4, byte(g.IntN(40)), byte(g.Uint32())},
			[]byte{2, 4, 5, byte(0x90 + g.IntN(64))},
			[]byte{3, 3, 7},
			[]byte{8, 10, 1, 2, 3, 4, 5, 6, 7, 8},
			[]byte{4, 2},
		)...)
	}
	if g.chance(10) {
		options = append(options, pick(g, []byte{0}, []byte{2, 3, 9}, []byte{2, 200, 9}, []byte{5}, []byte{7, 0})...)
	}
	for len(options)%4 != 0 {
		options = append(options, pick[byte](g, 0, 1))
	}
	if len(options) > 40 {
		options = options[:40]
	}
	b = append(b, options...)
	b[12] = byte(len(b) / 4 << 4)
	if g.chance(20) {
		b[12] = byte(g.Uint32())
	}
	return b
}

// icmp makes an ICMPv4 message.
func (g *generator) icmp(kind, code uint8, rest uint32, data []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind, code, 0, 0}, rest)
	b = append(b, data...)
	if !g.chance(25) {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// options4 draws IPv4 options, mostly none, padded to a multiple of four.
func (g *generator) options4() []byte {
	if !g.chance(8) {
		return nil
	}
	var b []byte
	for range 1 + g.IntN(3) {
		b = append(b, pick(g,
			[]byte{1},                            // no operation
			[]byte{7, 7, 4, 0, 0, 0, 0},          // record route
			[]byte{0x94, 4, 0, 0},                // router alert, copied
			[]byte{0x82, 5, 1, 2, 3},             // security, copied
			[]byte{0x83, 7, 4, 198, 51, 100, 20}, // loose source route, copied
			[]byte{68, 4, 5, 0},                  // timestamp
			g.octets(1+g.IntN(4)),
		)...)
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b[:min(len(b), 40)]
}

// dressed is a packet with the fields that are the same for all protocols.
func (g *generator) dressed(src, dst netip.Addr, protocol uint8, payload []byte) ipv4 {
	p := ipv4{
		src: src, dst: dst, protocol: protocol, payload: payload,
		tos: pick(g, 0, 2, uint8(g.IntN(4)), uint8(g.Uint32())),
		ttl: pick[uint8](g, 64, 64, 64, 64, 64, 64, 255, 2, 1, 0),
		id:  uint16(g.Uint32()), options: g.options4(),
	}
	if g.chance(3) {
		p.fragField = flagDF
	}
	if g.chance(100) {
		p.fragField |= 0x8000
	}
	if most := 65535 - 20 - len(p.options); len(p.payload) > most {
		p.payload = p.payload[:most]
	}
	return p
}

// size draws how long a transport segment is: mostly small, often around where
// a packet just fits.
func (g *generator) size() int {
	switch g.IntN(40) {
	case 0, 1, 2, 3, 4:
		return g.config.TunnelMTU - 60 - 4 + g.IntN(9)
	case 5, 6, 7, 8, 9:
		return max(0, g.config.IPv4MTU-20-4+g.IntN(9))
	case 10, 11:
		return g.IntN(4000)
	case 12:
		if g.chance(4) {
			return 65535 - 20 - g.IntN(200)
		}
		return g.IntN(10000)
	}
	return g.IntN(100)
}

// content is the protocol and payload of a packet between two endpoints.
func (g *generator) content(src, dst netip.AddrPort, id uint16) (uint8, []byte) {
	protocol := pick(g,
		protocolUDP, protocolUDP, protocolUDP, protocolTCP, protocolTCP, protocolTCP,
		protocolICMP, protocolICMP, protocolSCTP, protocolDCCP, protocolUDPLite,
		protocolGRE, protocolESP, protocolIPv4, uint8(g.Uint32()))
	switch protocol {
	case protocolTCP, protocolUDP, protocolSCTP, protocolDCCP, protocolUDPLite:
		return protocol, g.segment(src, dst, protocol, g.size())
	case protocolICMP:
		const timestamp = 13
		kind := pick[uint8](g, 0, 8, 8, timestamp, uint8(g.Uint32()))
		return protocol, g.icmp(kind, 0, uint32(id)<<16|g.Uint32N(1<<16), g.octets(g.size()))
	}
	return protocol, g.octets(g.size())
}

// cut4 cuts a packet into fragments with random borders, some of which are
// wrong. DF is kept, as some senders do.
func (g *generator) cut4(p ipv4) [][]byte {
	var all [][]byte
	for at := 0; at < len(p.payload); {
		size := 8 * (1 + g.IntN(max(1, len(p.payload)/8)))
		size = min(size, 1200)
		if g.chance(60) {
			size += g.IntN(8)
		}
		f := p
		to := min(at+size, len(p.payload))
		f.payload = p.payload[at:to]
		f.fragField |= uint16(at / 8)
		if to < len(p.payload) {
			f.fragField |= flagMF
		}
		if g.chance(60) {
			f.fragField++ // overlaps the next, or leaves a hole
		}
		if g.chance(30) {
			f.fragField ^= flagMF // another end
		}
		if g.chance(40) {
			f.tos ^= uint8(1 + g.IntN(3))
		}
		all = append(all, f.bytes())
		at = to
	}
	if len(all) == 0 {
		all = append(all, p.bytes())
	}
	return all
}
