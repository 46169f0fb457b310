package compare

import "fmt"

// Describe is one line about a packet, for people.
func Describe(p []byte) string { return describe(p, 0) }

func describe(p []byte, depth int) string {
	if depth > 4 {
		return "..."
	}
	f := flowOf(p)
	switch {
	case !f.src.IsValid():
		return fmt.Sprintf("%d bytes that are no IP packet", len(p))
	case f.src.Is4():
		text := fmt.Sprintf("%s > %s %s tos %#02x len %d", f.src, f.dst, upperName(p[9]), p[1], be16(p[2:]))
		if off := be16(p[6:]) & 0x3fff; off != 0 {
			text += fmt.Sprintf(" fragment %d more %t", off&0x1fff*8, off&0x2000 != 0)
		}
		if header := int(p[0]&0x0f) * 4; p[9] == protoICMP && len(p) >= header+2 && be16(p[6:])&0x1fff == 0 {
			text += fmt.Sprintf(" type %d code %d", p[header], p[header+1])
		}
		return text
	}
	text := fmt.Sprintf("%s > %s class %#02x len %d", f.src, f.dst, p[0]<<4|p[1]>>4, be16(p[4:]))
	next, body := p[6], p[40:]
	if next == protoFragment && len(body) >= 8 {
		off := be16(body[2:])
		text += fmt.Sprintf(" fragment %d more %t", off&^7, off&1 != 0)
		if off&^7 != 0 {
			return text
		}
		next, body = body[0], body[8:]
	}
	switch {
	case next == protoIPv4:
		return text + " {" + describe(body, depth+1) + "}"
	case next == protoICMPv6 && len(body) >= 2:
		return text + fmt.Sprintf(" icmpv6 type %d code %d", body[0], body[1])
	}
	return text + " " + upperName(next)
}

func upperName(proto byte) string {
	switch proto {
	case protoICMP:
		return "icmp"
	case protoIPv4:
		return "ipv4"
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMPv6:
		return "icmpv6"
	}
	return fmt.Sprintf("protocol %d", proto)
}

// noise reports whether p is neighbour discovery or multicast listener
// discovery, which a lwAFTR on a link sends and no vector asks for.
func noise(p []byte) bool {
	if len(p) < 41 || p[0]>>4 != 6 {
		return false
	}
	next, body := p[6], p[40:]
	// RFC 2710 section 3: MLD has a router alert in a hop-by-hop header.
	if next == protoHopByHop && len(body) >= 2 && len(body) > 8+int(body[1])*8 {
		next, body = body[0], body[8+int(body[1])*8:]
	}
	if next != protoICMPv6 {
		return false
	}
	switch body[0] {
	case 130, 131, 132, 133, 134, 135, 136, 137, 143:
		return true
	}
	return false
}
