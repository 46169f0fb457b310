package reassembly

import "encoding/binary"

const (
	family4    = 4
	minHeader4 = 20

	moreFragments4 = 0x2000
	fragmentMask4  = 0x1fff

	protoTCP = 6
	// minTCP4 is what of a TCP header must be in the first fragment (RFC 1858
	// section 3.2.1): all that a filter may ask for.
	minTCP4 = 16
)

// parse4 reads an IPv4 packet, which may be followed by padding, into f. b4 is
// zero outside of a softwire.
func parse4(packet []byte, b4 [16]byte, f *piece) Cause {
	if len(packet) < minHeader4 || packet[0]>>4 != 4 {
		return Malformed
	}
	header := int(packet[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(packet[2:]))
	if header < minHeader4 || total < header || total > len(packet) {
		return Malformed
	}
	word := binary.BigEndian.Uint16(packet[6:])
	*f = piece{
		// RFC 791 section 3.2: the buffer identifier.
		key: key{
			b4:     b4,
			id:     uint32(binary.BigEndian.Uint16(packet[4:])),
			family: family4,
			proto:  packet[9],
		},
		packet: packet[:total],
		head:   head{header: header, prefix: header},
		start:  int(word&fragmentMask4) * 8,
		more:   word&moreFragments4 != 0,
		ecn:    packet[1] & ecnMask,
	}
	copy(f.key.src[:], packet[12:16])
	copy(f.key.dst[:], packet[16:20])
	if f.atomic() {
		f.whole = true
		return 0
	}
	// The longest data that any packet has: that of the shortest header. The
	// first fragment's own header is reckoned with when it is known.
	if cause := f.check(maxPayload - minHeader4); cause != 0 {
		return cause
	}
	if f.start == 0 && f.key.proto == protoTCP && len(f.data()) < minTCP4 {
		return TinyFirst
	}
	return 0
}
