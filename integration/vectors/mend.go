package vectors

import "encoding/binary"

// mend makes a wrong header checksum of the IPv4 packet in a softwire right,
// in place, and reports whether it had to. Some vectors carry a wrong one that
// they do not test.
func mend(p []byte) bool {
	const (
		header6   = 40
		nextIPv4  = 4
		minHeader = 20
	)
	if len(p) < header6+minHeader || p[0]>>4 != 6 || p[6] != nextIPv4 {
		return false
	}
	inner := p[header6:]
	header := int(inner[0]&0x0f) * 4
	if inner[0]>>4 != 4 || header < minHeader || header > len(inner) {
		return false
	}
	was := binary.BigEndian.Uint16(inner[10:])
	inner[10], inner[11] = 0, 0
	var sum uint32
	for i := 0; i < header; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(inner[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(inner[10:], ^uint16(sum))
	return was != ^uint16(sum)
}
