package forwarder

import "encoding/binary"

// IPv6 next header values that are extension headers (RFC 8200 section 4).
const (
	nextHopByHop    = 0
	nextRouting     = 43
	nextFragment    = 44
	nextNone        = 59
	nextDestination = 60
)

// maxExtensions bounds the walk along a header chain. RFC 8200 section 4.1
// lists fewer, each at most once but for destination options.
const maxExtensions = 8

// header6 is the fields of an IPv6 header chain that forwarding needs.
type header6 struct {
	total    int // octets of the whole packet
	tclass   uint8
	src, dst [16]byte
	next     uint8 // protocol after the extension headers that were walked
	payload  int   // where that protocol begins

	// fragment is set when the walk ended at a fragment header that is not
	// atomic; payload is then where that header begins.
	fragment bool
}

// parse6 reads the IPv6 header and the chain of extension headers at the start
// of b, which may be followed by padding.
func parse6(b []byte, h *header6) (event Event, ok bool) {
	if len(b) < header6Len || b[0]>>4 != 6 {
		return DropIPv6Malformed, false
	}
	total := header6Len + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return DropIPv6Malformed, false
	}
	h.total = total
	h.tclass = b[0]<<4 | b[1]>>4
	h.src = [16]byte(b[8:24])
	h.dst = [16]byte(b[24:40])
	h.fragment = false
	next, at := b[6], header6Len
	if next == protoIPv4 { // nearly every packet
		h.next, h.payload = next, at
		return 0, true
	}
	return walk6(b[:total], next, at, h)
}

// walk6 follows the chain from the header of kind next at offset at.
func walk6(b []byte, next uint8, at int, h *header6) (event Event, ok bool) {
	for range maxExtensions {
		switch next {
		case nextHopByHop, nextDestination:
			// RFC 8200 section 4.3: hop-by-hop options stand first or nowhere.
			if next == nextHopByHop && at != header6Len {
				return DropIPv6Extension, false
			}
			size, ok := extensionSize(b, at)
			if !ok || !optionsAcceptable(b[at+2:at+size]) {
				return DropIPv6Extension, false
			}
			next, at = b[at], at+size
		case nextRouting:
			size, ok := extensionSize(b, at)
			// RFC 8200 section 4.4: at the end of the route there is nothing
			// left to do, and no type is forwarded by this node.
			if !ok || b[at+3] != 0 {
				return DropIPv6Extension, false
			}
			next, at = b[at], at+size
		case nextFragment:
			if len(b)-at < 8 {
				return DropIPv6Extension, false
			}
			// RFC 6946: a fragment that is the whole packet is taken alone.
			if binary.BigEndian.Uint16(b[at+2:])&0xfff9 == 0 {
				next, at = b[at], at+8
				continue
			}
			h.next, h.payload, h.fragment = nextFragment, at, true
			return 0, true
		default:
			h.next, h.payload = next, at
			return 0, true
		}
	}
	return DropIPv6Extension, false
}

// extensionSize is the octets of the extension header at b[at:].
func extensionSize(b []byte, at int) (size int, ok bool) {
	if len(b)-at < 8 {
		return 0, false
	}
	size = int(b[at+1])*8 + 8
	return size, size <= len(b)-at
}

// optionsAcceptable walks options (RFC 8200 section 4.2). One that is unknown
// is skipped or refuses the packet, as the two highest bits of its type say.
// The tunnel encapsulation limit (RFC 2473 section 4.1.1) is among those that
// are skipped: it concerns entry points, and this is the exit.
func optionsAcceptable(b []byte) bool {
	for len(b) > 0 {
		if b[0] == 0 { // Pad1
			b = b[1:]
			continue
		}
		if len(b) < 2 || int(b[1])+2 > len(b) || b[0]>>6 != 0 {
			return false
		}
		b = b[2+int(b[1]):]
	}
	return true
}

// martianSource6 reports sources that no packet from beyond the link has
// (RFC 4291 section 2.5): to answer one would hit somebody else or nobody.
func martianSource6(a *[16]byte) bool {
	linkLocal := a[0] == 0xfe && a[1]&0xc0 == 0x80
	return a[0] == 0xff || linkLocal || *a == [16]byte{} || *a == [16]byte{15: 1}
}

// put6 writes an IPv6 header with no extension headers to b.
func put6(b []byte, tclass uint8, label uint32, payload int, next, hopLimit uint8, src, dst *[16]byte) {
	_ = b[header6Len-1]
	binary.BigEndian.PutUint32(b, 6<<28|uint32(tclass)<<20|label&0xfffff)
	binary.BigEndian.PutUint16(b[4:], uint16(payload))
	b[6] = next
	b[7] = hopLimit
	copy(b[8:24], src[:])
	copy(b[24:40], dst[:])
}
