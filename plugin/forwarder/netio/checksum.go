package netio

import (
	"encoding/binary"
	"math/bits"
)

// sumWords adds b, taken as big-endian 16-bit words with a zero byte after an
// odd end, to the folded sum initial, and returns the folded sum (RFC 1071).
// The Internet checksum of b is its complement.
func sumWords(b []byte, initial uint16) uint16 {
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

// sumPseudoHeader is the folded sum of the pseudo-header of RFC 9293 section
// 3.1 and RFC 8200 section 8.1. addresses is source and destination as they
// stand in the header, length that of the transport header and its data.
func sumPseudoHeader(addresses []byte, protocol uint8, length int) uint16 {
	words := uint64(sumWords(addresses, 0))
	return fold(words + uint64(protocol) + uint64(uint32(length)>>16) + uint64(length)&0xffff)
}

// completeChecksum finishes a transport checksum of which the field holds the
// pseudo-header's sum so far. The checksum covers packet from start on, and its
// field is offset bytes after start. It is false where that is outside packet.
func completeChecksum(packet []byte, start, offset int) bool {
	if start+offset+2 > len(packet) {
		return false
	}
	setChecksum(packet[start+offset:], ^sumWords(packet[start:], 0))
	return true
}

// setChecksum stores a transport checksum. RFC 768: a zero would say that there
// is none, so it is sent as its other form; TCP takes either.
func setChecksum(field []byte, checksum uint16) {
	if checksum == 0 {
		checksum = 0xffff
	}
	binary.BigEndian.PutUint16(field, checksum)
}

// setHeaderChecksum computes the checksum of an IPv4 header with its options.
func setHeaderChecksum(header []byte) {
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], ^sumWords(header, 0))
}
