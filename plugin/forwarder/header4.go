package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// Sizes and offsets in octets.
const (
	header4Len = 20 // IPv4 header without options (RFC 791 section 3.1)
	header6Len = 40 // IPv6 header (RFC 8200 section 3)
)

// IP protocol numbers.
const (
	protoICMP    = 1
	protoIPv4    = 4
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// header4 is the fields of an IPv4 header that forwarding needs.
type header4 struct {
	length   int // header octets
	total    int // octets of the whole packet
	tos      uint8
	ttl      uint8
	proto    uint8
	df, mf   bool
	fragment uint16 // offset in units of 8 octets
	src, dst [4]byte
}

// fragmented reports whether the packet is a part of a larger one.
func (h *header4) fragmented() bool { return h.mf || h.fragment != 0 }

// parse4 reads the IPv4 header at the start of b, which may be followed by
// padding. Everything in h is meaningful only when ok.
func parse4(b []byte, h *header4) (event Event, ok bool) {
	if len(b) < header4Len || b[0]>>4 != 4 {
		return DropIPv4Malformed, false
	}
	length := int(b[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if length < header4Len || total < length || total > len(b) {
		return DropIPv4Malformed, false
	}
	// RFC 1812 section 5.2.2: verify the checksum before anything is believed.
	if length == header4Len {
		if checksum.Header((*[header4Len]byte)(b)) != 0 {
			return DropIPv4Checksum, false
		}
	} else if checksum.Of(b[:length]) != 0 {
		return DropIPv4Checksum, false
	}
	flags := binary.BigEndian.Uint16(b[6:])
	h.length = length
	h.total = total
	h.tos = b[1]
	h.ttl = b[8]
	h.proto = b[9]
	h.df = flags&0x4000 != 0
	h.mf = flags&0x2000 != 0
	h.fragment = flags & 0x1fff
	h.src = [4]byte(b[12:16])
	h.dst = [4]byte(b[16:20])
	return 0, true
}

// martianSource4 reports sources that no packet on the Internet has (RFC 1812
// section 5.3.7); to answer one would hit somebody else or nobody.
func martianSource4(a [4]byte) bool {
	return a[0] == 0 || a[0] == 127 || a[0] >= 224
}

// martianDestination4 reports destinations that are not forwarded: no unicast
// address of another node.
func martianDestination4(a [4]byte) bool {
	return a[0] == 0 || a[0] == 127 || a[0] >= 224
}

// decrementTTL lowers the TTL of the IPv4 header at b by one and adjusts its
// checksum (RFC 1141). 0xffff never results: the same value is written as zero,
// as a full computation would.
func decrementTTL(b []byte) {
	b[8]--
	sum := uint32(binary.BigEndian.Uint16(b[10:])) + 0x0100
	if sum >= 0xffff {
		sum++
	}
	binary.BigEndian.PutUint16(b[10:], uint16(sum))
}

// setTOS replaces the traffic class octet of the IPv4 header at b and adjusts
// its checksum.
func setTOS(b []byte, tos uint8) {
	old := binary.BigEndian.Uint16(b)
	b[1] = tos
	checksum.Adjust(b[10:], old, binary.BigEndian.Uint16(b))
}

// setIdentification replaces the identification of the IPv4 header at b and
// adjusts its checksum.
func setIdentification(b []byte, id uint16) {
	old := binary.BigEndian.Uint16(b[4:])
	binary.BigEndian.PutUint16(b[4:], id)
	checksum.Adjust(b[10:], old, id)
}
