package netio

import (
	"encoding/binary"
	"net/netip"
)

// flowSpec is the headers of test packets.
type flowSpec struct {
	source, destination string
	sport, dport        uint16
	udp                 bool
	tos, ttl            uint8
	id                  uint16
	df                  bool
	sequence            uint32
	ack                 uint32
	flags               uint8
	window              uint16
	options             []byte // of TCP, a multiple of four bytes
}

func tcpSpec() flowSpec {
	return flowSpec{
		source: leftIPv4, destination: rightIPv4, sport: 1024, dport: 80, ttl: 64, df: true, id: 7,
		sequence: 1000, ack: 5, flags: tcpACK, window: 500,
		options: []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, // timestamps
	}
}

func udpSpec() flowSpec {
	s := tcpSpec()
	s.udp = true
	return s
}

// build makes a packet with right lengths and checksums, by the test's own
// arithmetic.
func (s flowSpec) build(payload []byte) []byte {
	source, destination := netip.MustParseAddr(s.source), netip.MustParseAddr(s.destination)
	transport := s.transport(payload)
	protocol := byte(6)
	field := 16
	if s.udp {
		protocol, field = 17, 6
	}
	addresses := append(source.AsSlice(), destination.AsSlice()...)
	pseudo := []byte{0, protocol, 0, 0, byte(len(transport) >> 8), byte(len(transport))}
	checksum := slowSum(addresses, pseudo, transport)
	if checksum == 0 {
		checksum = 0xffff
	}
	binary.BigEndian.PutUint16(transport[field:], checksum)

	if source.Is6() {
		header := make([]byte, 8, 40+len(transport))
		header[0] = 6 << 4
		binary.BigEndian.PutUint16(header[4:], uint16(len(transport)))
		header[6], header[7] = protocol, s.ttl
		return append(append(header, addresses...), transport...)
	}
	header := make([]byte, 12, 20+len(transport))
	header[0], header[1], header[8], header[9] = 0x45, s.tos, s.ttl, protocol
	binary.BigEndian.PutUint16(header[2:], uint16(20+len(transport)))
	binary.BigEndian.PutUint16(header[4:], s.id)
	if s.df {
		header[6] = 0x40
	}
	header = append(header, addresses...)
	binary.BigEndian.PutUint16(header[10:], slowSum(header))
	return append(header, transport...)
}

// transport is the TCP or UDP header with the payload, without checksum.
func (s flowSpec) transport(payload []byte) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, s.sport)
	b = binary.BigEndian.AppendUint16(b, s.dport)
	if s.udp {
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
		b = append(b, 0, 0)
		return append(b, payload...)
	}
	b = binary.BigEndian.AppendUint32(b, s.sequence)
	b = binary.BigEndian.AppendUint32(b, s.ack)
	b = append(b, byte(20+len(s.options))<<2, s.flags)
	b = binary.BigEndian.AppendUint16(b, s.window)
	b = append(b, 0, 0, 0, 0)
	b = append(b, s.options...)
	return append(b, payload...)
}

// inTunnel puts packet into IPv6, behind extension headers that begin with one
// of type next.
func inTunnel(packet []byte, next uint8, extensions ...byte) []byte {
	local, remote := netip.MustParseAddr(leftIPv6).As16(), netip.MustParseAddr(rightIPv6).As16()
	b := []byte{6 << 4, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(extensions)+len(packet)))
	b = append(b, next, 64)
	b = append(b, local[:]...)
	b = append(b, remote[:]...)
	return append(append(b, extensions...), packet...)
}

// bytesUpTo is n bytes that differ from their neighbours.
func bytesUpTo(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
