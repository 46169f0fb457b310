package compare

import "encoding/binary"

// sum is the ones' complement sum of b (RFC 1071); over data with a right
// checksum in it, it is 0xffff.
func sum(b []byte) uint16 { return fold(add(0, b)) }

// sum6 is the sum over body and the pseudo-header (RFC 8200 section 8.1) of the
// packet p that carries it.
func sum6(p []byte, proto byte, body []byte) uint16 {
	s := add(0, p[8:40])
	s += uint64(len(body)) + uint64(proto)
	return fold(add(s, body))
}

// transportSum4 reports whether the TCP or UDP checksum of the whole IPv4
// packet p is right; it is for other protocols.
func transportSum4(p []byte, header int) bool {
	body := p[header:]
	proto := p[9]
	switch {
	case proto == protoUDP && len(body) >= 8:
		if be16(body[6:]) == 0 { // RFC 768: none was made
			return true
		}
	case proto == protoTCP && len(body) >= 20:
	default:
		return true
	}
	s := add(0, p[12:20])
	s += uint64(len(body)) + uint64(proto)
	return fold(add(s, body)) == 0xffff
}

// transportSum6 is transportSum4 for the IPv6 packet p.
func transportSum6(p []byte, proto byte, body []byte) bool {
	if proto == protoUDP && len(body) >= 8 || proto == protoTCP && len(body) >= 20 {
		return sum6(p, proto, body) == 0xffff
	}
	return true
}

func add(s uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
