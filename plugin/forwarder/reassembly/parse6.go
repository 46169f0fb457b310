package reassembly

import "encoding/binary"

const (
	family6        = 6
	headerLen6     = 40
	fragmentHeader = 8

	protoHopByHop    = 0
	protoIPv4        = 4
	protoIPv6        = 41
	protoRouting     = 43
	protoFragment    = 44
	protoNone        = 59
	protoDestination = 60

	minTCP6 = 20

	// maxExtensions bounds the walk along a header chain. RFC 8200 section 4.1
	// lists fewer.
	maxExtensions = 8
)

// parse6 reads an IPv6 packet, which may be followed by padding, into f.
func parse6(packet []byte, f *piece) Cause {
	if len(packet) < headerLen6 || packet[0]>>4 != 6 {
		return Malformed
	}
	total := headerLen6 + int(binary.BigEndian.Uint16(packet[4:]))
	if total > len(packet) {
		return Malformed
	}
	packet = packet[:total]
	announced, at, ok := walk(packet, 6, headerLen6)
	if !ok {
		return Malformed
	}
	if packet[announced] != protoFragment {
		*f = piece{packet: packet, whole: true}
		return 0
	}
	if total-at < fragmentHeader {
		return Malformed
	}
	word := binary.BigEndian.Uint16(packet[at+2:])
	*f = piece{
		// RFC 8200 section 4.5: source, destination and identification.
		key: key{
			src:    [16]byte(packet[8:24]),
			dst:    [16]byte(packet[24:40]),
			id:     binary.BigEndian.Uint32(packet[at+4:]),
			family: family6,
		},
		packet: packet,
		head:   head{header: at, prefix: at + fragmentHeader, next: announced},
		start:  int(word &^ 7),
		more:   word&1 != 0,
		ecn:    packet[1] >> 4 & ecnMask,
	}
	if cause := f.check(maxPayload); cause != 0 {
		return cause
	}
	if f.start == 0 {
		return chainComplete(packet, at)
	}
	return 0
}

// chainComplete checks that a first fragment, whose Fragment header is at
// packet[at:], has all headers through an upper-layer one (RFC 7112 section 5,
// RFC 8200 section 4.5).
func chainComplete(packet []byte, at int) Cause {
	announced, upper, ok := walk(packet, at, at+fragmentHeader)
	if !ok {
		return TinyFirst
	}
	rest := packet[upper:]
	need := 1
	switch packet[announced] {
	case protoFragment:
		// A fragment in a fragment: no source makes one (RFC 8200 section 4.1
		// has each header at most once).
		return Malformed
	case protoNone:
		return 0
	case protoTCP:
		need = minTCP6
	case protoIPv6:
		need = headerLen6
	case protoIPv4:
		need = minHeader4
		if len(rest) > 0 {
			need = max(need, int(rest[0]&0xf)*4)
		}
	}
	if len(rest) < need {
		return TinyFirst
	}
	return 0
}

// walk follows extension headers. announced is where the kind of the header at
// packet[at:] stands; both are returned for the first header that is none of
// those that may precede a Fragment header. It reports false if the chain
// leaves the packet or is too long.
func walk(packet []byte, announced, at int) (int, int, bool) {
	for range maxExtensions {
		switch packet[announced] {
		case protoHopByHop, protoRouting, protoDestination:
		default:
			return announced, at, true
		}
		if len(packet)-at < 8 {
			return 0, 0, false
		}
		size := int(packet[at+1])*8 + 8
		if size > len(packet)-at {
			return 0, 0, false
		}
		announced, at = at, at+size
	}
	return 0, 0, false
}
