// Package checksum owns the Internet checksum of RFC 1071.
package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Of returns the checksum of b, to be stored in big-endian order in a field
// that was zero when it was computed. A block that contains its own right
// checksum yields 0. An odd last octet counts as if a zero octet followed.
func Of(b []byte) uint16 { return ^Sum(b, 0) }

// Header returns the checksum of an IPv4 header without options: Of for its
// 20 octets, and several times faster.
func Header(b *[20]byte) uint16 {
	x, y := binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])
	sum := x>>32 + x&0xffffffff + y>>32 + y&0xffffffff + uint64(binary.BigEndian.Uint32(b[16:]))
	return ^fold(sum)
}

// Sum adds b, taken as big-endian 16-bit words with a zero octet after an
// odd end, to the folded sum initial, and returns the folded sum (RFC 1071).
// The Internet checksum of b is its complement.
func Sum(b []byte, initial uint16) uint16 {
	// RFC 1071 section 2: the sum does not depend on the byte order, nor on the
	// width of the words as long as carries come back, so add in the machine's.
	var sum, carry uint64
	for len(b) >= 32 {
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[24:]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b), carry)
		b = b[8:]
	}
	var tail [8]byte
	copy(tail[:], b)
	sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(tail[:]), carry)

	half := sum>>32 + sum&0xffffffff + carry
	half = half>>32 + half&0xffffffff
	var word [2]byte
	binary.NativeEndian.PutUint16(word[:], fold(half))
	return fold(uint64(binary.BigEndian.Uint16(word[:])) + uint64(initial))
}

// fold brings a sum below 2^48 to 16 bits, adding the carries back in.
func fold(sum uint64) uint16 {
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum&0xffff)
}

// IPv6 returns the checksum of an upper-layer packet b under the IPv6
// pseudo-header of source, destination and upper-layer protocol (RFC 8200
// section 8.1). It is 0 for a packet that contains its own right checksum.
func IPv6(src, dst *[16]byte, proto uint8, b []byte) uint16 {
	sum := uint64(Sum(src[:], 0)) + uint64(Sum(dst[:], 0)) + uint64(len(b)) + uint64(proto)
	return ^Sum(b, fold(sum))
}

// Adjust corrects the checksum stored in big-endian order at field for a
// covered 16-bit word, at an even offset, that changed from old to new
// (RFC 1624 equation 3).
func Adjust(field []byte, old, new uint16) {
	sum := uint64(^binary.BigEndian.Uint16(field)) + uint64(^old) + uint64(new)
	binary.BigEndian.PutUint16(field, ^fold(sum))
}
