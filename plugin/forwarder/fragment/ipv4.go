package fragment

import (
	"encoding/binary"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

const (
	minHeader4     = 20
	maxPacket4     = 65535
	offsetOfTotal4 = 2
	offsetOfID4    = 4
	offsetOfFlags4 = 6
	offsetOfSum4   = 10

	dontFragment4  = 0x4000
	moreFragments4 = 0x2000
	fragmentMask4  = 0x1fff // Fragment Offset, in units of 8 octets
)

// IPv4 cuts packet, a whole IPv4 packet or itself a fragment, into fragments of
// at most mtu octets and writes them into a in order. It returns how many
// there are. A packet that fits is copied as it is. Octets after the packet's
// total length are ignored, and its header checksum is taken to be right.
//
// The error is or wraps ErrDontFragment, ErrMalformed, ErrMTU, ErrTooMany or
// ErrNoRoom.
func IPv4(a Arena, packet []byte, mtu int) (int, error) {
	h, err := parse4(packet)
	if err != nil {
		return 0, err
	}
	if h.flags&dontFragment4 != 0 && h.total > mtu {
		return 0, ErrDontFragment
	}
	return h.cut(a, packet[:h.total], mtu)
}

// IPv4Forced is IPv4 for callers whose policy overrules DF: fragments are made
// regardless, with DF clear so that they may be cut again further on. The
// identification of an atomic datagram means nothing (RFC 6864 section 4.1),
// so one that has to be cut gets id, which must not have been used lately
// between the same two addresses for the same protocol.
//
// The error is or wraps ErrMalformed, ErrMTU, ErrTooMany or ErrNoRoom.
func IPv4Forced(a Arena, packet []byte, mtu int, id uint16) (int, error) {
	h, err := parse4(packet)
	if err != nil {
		return 0, err
	}
	if h.flags&dontFragment4 != 0 && h.total > mtu {
		// RFC 6864 section 4: atomic is DF set, MF clear, offset zero.
		if h.flags&moreFragments4 == 0 && h.start == 0 {
			h.id = id
		}
		h.flags &^= dontFragment4
	}
	return h.cut(a, packet[:h.total], mtu)
}

// header4 is what cutting needs of an IPv4 header. Lengths are in octets.
type header4 struct {
	length int    // of the header
	total  int    // of the packet
	start  int    // Fragment Offset
	flags  uint16 // the three flags, in place
	id     uint16
}

// parse4 reads the header of packet. The error wraps ErrMalformed.
func parse4(packet []byte) (header4, error) {
	if len(packet) < minHeader4 || packet[0]>>4 != 4 {
		return header4{}, fmt.Errorf("no IPv4 header: %w", ErrMalformed)
	}
	word := binary.BigEndian.Uint16(packet[offsetOfFlags4:])
	h := header4{
		length: int(packet[0]&0xf) * 4,
		total:  int(binary.BigEndian.Uint16(packet[offsetOfTotal4:])),
		start:  int(word&fragmentMask4) * 8,
		flags:  word &^ fragmentMask4,
		id:     binary.BigEndian.Uint16(packet[offsetOfID4:]),
	}
	switch {
	case h.length < minHeader4 || h.length > h.total || h.total > len(packet):
		return header4{}, fmt.Errorf("IPv4 lengths disagree: %w", ErrMalformed)
	case h.start+h.total > maxPacket4:
		return header4{}, fmt.Errorf("IPv4 fragment ends beyond 65535 octets: %w", ErrMalformed)
	case h.flags&moreFragments4 != 0 && (h.total-h.length)%8 != 0:
		return header4{}, fmt.Errorf("IPv4 fragment is no multiple of 8 octets: %w", ErrMalformed)
	}
	return h, nil
}

// cut is the procedure of RFC 791 section 3.2, repeated until all is sent.
func (h header4) cut(a Arena, packet []byte, mtu int) (int, error) {
	if mtu < MinMTU4 {
		return 0, fmt.Errorf("IPv4 MTU %d: %w", mtu, ErrMTU)
	}
	if h.total <= mtu {
		return copyWhole(a, packet)
	}
	var later [maxHeader4]byte
	laterLength, err := laterHeader(&later, packet[:h.length])
	if err != nil {
		return 0, err
	}
	if pieces(h.total-h.length, mtu-h.length, mtu-laterLength) > MaxFragments {
		return 0, fmt.Errorf("%d octets at MTU %d: %w", h.total, mtu, ErrTooMany)
	}
	header, data := packet[:h.length], packet[h.length:]
	count := 0
	for sent := 0; sent < len(data); {
		room := mtu - len(header)
		size, flags := room&^7, h.flags|moreFragments4
		if rest := len(data) - sent; rest <= room {
			size, flags = rest, h.flags // the last piece of a fragment keeps its MF
		}
		out := a.Alloc(len(header) + size)
		if out == nil {
			return count, ErrNoRoom
		}
		copy(out, header)
		copy(out[len(header):], data[sent:sent+size])
		h.finish(out, len(header), flags|uint16((h.start+sent)/8))
		sent += size
		count++
		header = later[:laterLength]
	}
	return count, nil
}

// finish writes the fields of out that differ from the original's.
func (h header4) finish(out []byte, length int, word uint16) {
	out[0] = 4<<4 | byte(length/4)
	binary.BigEndian.PutUint16(out[offsetOfTotal4:], uint16(len(out)))
	binary.BigEndian.PutUint16(out[offsetOfID4:], h.id)
	binary.BigEndian.PutUint16(out[offsetOfFlags4:], word)
	binary.BigEndian.PutUint16(out[offsetOfSum4:], 0)
	binary.BigEndian.PutUint16(out[offsetOfSum4:], checksum.Of(out[:length]))
}

// pieces counts what data octets are cut into when the first packet has room
// for first octets of them and the later ones for later. It stops counting
// above MaxFragments.
func pieces(data, first, later int) int {
	count := 1
	for room := first; data > room && count <= MaxFragments; room = later {
		data -= room &^ 7
		count++
	}
	return count
}
