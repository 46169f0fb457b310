// Package checksum owns the Internet checksum of RFC 1071.
package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Of returns the checksum of b, to be stored in big-endian order in a field
// that was zero when it was computed. A block that contains its own right
// checksum yields 0. An odd last octet counts as if a zero octet followed.
func Of(b []byte) uint16 {
	// RFC 1071 section 2 (C): words wider than 16 bits give the same sum once
	// the carries are folded in.
	var sum, carry uint64
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	var tail [8]byte
	copy(tail[:], b)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(tail[:]), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	return ^fold(sum + carry)
}

// fold adds the four 16-bit words of sum with end-around carry.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum&0xffff)
}

// IPv6 returns the checksum of an upper-layer packet b under the IPv6
// pseudo-header of source, destination and upper-layer protocol (RFC 8200
// section 8.1). It is 0 for a packet that contains its own right checksum.
func IPv6(src, dst *[16]byte, proto uint8, b []byte) uint16 {
	sum := uint64(^Of(src[:])) + uint64(^Of(dst[:])) + uint64(len(b)) + uint64(proto) + uint64(^Of(b))
	return ^fold(sum)
}

// Adjust corrects the checksum stored in big-endian order at field for a
// covered 16-bit word, at an even offset, that changed from old to new
// (RFC 1624 equation 3).
func Adjust(field []byte, old, new uint16) {
	sum := uint64(^binary.BigEndian.Uint16(field)) + uint64(^old) + uint64(new)
	binary.BigEndian.PutUint16(field, ^fold(sum))
}
