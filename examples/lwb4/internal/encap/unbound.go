package encap

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
)

// ICMPv6 (RFC 4443 section 3.1).
const (
	icmp6Unreachable  = 1
	icmp6SourcePolicy = 5 // "source address failed ingress/egress policy"
	icmp6HeaderLen    = 8
)

// Next headers of IPv6.
const (
	headerFragment    = 44
	fragmentHeaderLen = 8
)

// Unbound reads an ICMPv6 message that came from the BR address of a softwire. It
// returns the beginning of the IPv4 packet that it is about, if it says that the
// lwAFTR has no binding for what was sent through the softwire (RFC 7596 section
// 5.1: type 1 code 5).
func Unbound(message []byte, ends assign.Ends) (inner []byte, ok bool) {
	if len(message) < icmp6HeaderLen+HeaderLen || message[0] != icmp6Unreachable || message[1] != icmp6SourcePolicy {
		return nil, false
	}
	outer := message[icmp6HeaderLen:]
	next, inner := outer[6], outer[HeaderLen:]
	if outer[0]>>4 != 6 || [16]byte(outer[8:]) != ends.B4.As16() || [16]byte(outer[24:]) != ends.BR.As16() {
		return nil, false
	}
	if next == headerFragment && len(inner) >= fragmentHeaderLen {
		// What follows a later fragment's header is the middle of a packet.
		if binary.BigEndian.Uint16(inner[2:])&^7 != 0 {
			return nil, false
		}
		next, inner = inner[0], inner[fragmentHeaderLen:]
	}
	if next != protoIPIP || len(inner) < headerLen || inner[0]>>4 != 4 {
		return nil, false
	}
	return inner, true
}

// Fingerprint is a number that two copies of a packet have in common, and hardly
// any others, given the beginning of an IPv4 packet of at least 20 octets. What
// routers change in a packet does not count.
func Fingerprint(packet []byte) uint64 {
	h := uint64(packet[9])
	mix := func(v uint64) {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	mix(uint64(binary.BigEndian.Uint32(packet[4:])))
	mix(binary.BigEndian.Uint64(packet[12:]))
	if length := int(packet[0]&0xf) * 4; length >= headerLen && len(packet) >= length+8 {
		mix(binary.BigEndian.Uint64(packet[length:]))
	}
	return h
}
