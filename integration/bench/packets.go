package main

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Header lengths in octets, and IP protocol numbers.
const (
	ipv4Header   = 20
	ipv6Header   = 40
	udpHeader    = 8
	fragHeader   = 8
	protoIPv4    = 4
	protoTCP     = 6
	protoUDP     = 17
	protoFrag    = 44
	firstPortBit = 16 - psidLen
)

// traffic is packets that come in, one behind the other in memory as a ring of a
// network card has them.
type traffic struct {
	memory []byte
	ends   []uint32 // of each packet in memory
	sides  []dataplane.Side
}

func (t *traffic) count() int { return len(t.ends) }

// at is the i-th packet.
func (t *traffic) at(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.memory[start:t.ends[i]]
}

func (t *traffic) add(side dataplane.Side, p []byte) {
	t.memory = append(t.memory, p...)
	t.ends = append(t.ends, uint32(len(t.memory)))
	t.sides = append(t.sides, side)
}

// flow is what one packet of a subscriber needs.
type flow struct {
	softwire softwire.Softwire
	own      netip.AddrPort
}

// flows picks n bindings at random, each with a random port of its set.
func flows(all []softwire.Softwire, n int, random *rand.Rand) []flow {
	list := make([]flow, n)
	for i := range list {
		s := all[random.IntN(len(all))]
		port := s.PortSet.PSID()<<firstPortBit | uint16(random.IntN(1<<firstPortBit))
		list[i] = flow{s, netip.AddrPortFrom(s.IPv4, port)}
	}
	return list
}

// udp4 is an IPv4 packet with UDP of size octets in all.
func udp4(src, dst netip.AddrPort, size int, id uint16) []byte {
	p := make([]byte, size)
	header4(p, src.Addr(), dst.Addr(), protoUDP, id, 0)
	u := p[ipv4Header:]
	binary.BigEndian.PutUint16(u, src.Port())
	binary.BigEndian.PutUint16(u[2:], dst.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	return p
}

// header4 writes an IPv4 header without options to p, which is the whole packet.
// fragment is the flags and the offset.
func header4(p []byte, src, dst netip.Addr, proto byte, id, fragment uint16) {
	p[0], p[8], p[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[4:], id)
	binary.BigEndian.PutUint16(p[6:], fragment)
	s, d := src.As4(), dst.As4()
	copy(p[12:], s[:])
	copy(p[16:], d[:])
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:ipv4Header]))
}

// header6 writes an IPv6 header to p, which is the whole packet.
func header6(p []byte, src, dst netip.Addr, next byte) {
	p[0], p[6], p[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-ipv6Header))
	s, d := src.As16(), dst.As16()
	copy(p[8:], s[:])
	copy(p[24:], d[:])
}

// inSoftwire puts an IPv4 packet into a softwire.
func inSoftwire(b4, br netip.Addr, inner []byte) []byte {
	p := make([]byte, ipv6Header+len(inner))
	copy(p[ipv6Header:], inner)
	header6(p, b4, br, protoIPv4)
	return p
}

// halves6 cuts a tunnel packet into two IPv6 fragments.
func halves6(p []byte, id uint32) (first, second []byte) {
	body := p[ipv6Header:]
	cut := len(body) / 2 &^ 7
	part := func(offset int, data []byte, more uint16) []byte {
		f := make([]byte, ipv6Header+fragHeader+len(data))
		copy(f, p[:ipv6Header])
		f[6] = protoFrag
		binary.BigEndian.PutUint16(f[4:], uint16(fragHeader+len(data)))
		f[ipv6Header] = protoIPv4
		binary.BigEndian.PutUint16(f[ipv6Header+2:], uint16(offset)|more)
		binary.BigEndian.PutUint32(f[ipv6Header+4:], id)
		copy(f[ipv6Header+fragHeader:], data)
		return f
	}
	return part(0, body[:cut], 1), part(cut, body[cut:], 0)
}

// halves4 cuts an IPv4 packet without options into two fragments.
func halves4(p []byte) (first, second []byte) {
	const moreFragments = 0x2000
	src, dst := netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	id := binary.BigEndian.Uint16(p[4:])
	body := p[ipv4Header:]
	cut := len(body) / 2 &^ 7
	first = append(make([]byte, ipv4Header, ipv4Header+cut), body[:cut]...)
	header4(first, src, dst, p[9], id, moreFragments)
	second = append(make([]byte, ipv4Header, ipv4Header+len(body)-cut), body[cut:]...)
	header4(second, src, dst, p[9], id, uint16(cut/8))
	return first, second
}
