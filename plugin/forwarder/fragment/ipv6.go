package fragment

import (
	"encoding/binary"
	"fmt"
)

const (
	headerLen6       = 40 // IPv6 header
	fragmentHeader   = 8  // IPv6 Fragment header
	protoHopByHop    = 0
	protoRouting     = 43
	protoFragment    = 44
	moreFragments6   = 1 // the M flag, in the Fragment Offset word
	offsetOfLength6  = 4
	offsetOfNextHdr6 = 6
)

// IPv6 cuts packet, a whole IPv6 packet, into fragments of at most mtu octets,
// all with the identification id, and writes them into a in order. It returns
// how many there are. A packet that fits is copied as it is. Octets after the
// packet's payload length are ignored.
//
// The identification must not have been used lately between the same two
// addresses (RFC 8200 section 4.5).
//
// The Per-Fragment headers are the IPv6 header alone: a packet with Hop-by-Hop
// Options, a Routing header or a Fragment header directly after it is refused,
// since a tunnel entry point makes none.
//
// The error is or wraps ErrMalformed, ErrMTU, ErrTooMany or ErrNoRoom.
func IPv6(a Arena, packet []byte, mtu int, id uint32) (int, error) {
	packet, err := whole6(packet)
	if err != nil {
		return 0, err
	}
	if mtu < MinMTU6 {
		return 0, fmt.Errorf("IPv6 MTU %d: %w", mtu, ErrMTU)
	}
	if len(packet) <= mtu {
		return copyWhole(a, packet)
	}
	header, data := packet[:headerLen6], packet[headerLen6:]
	// RFC 8200 section 4.5: each fragment, except possibly the last one, is a
	// multiple of 8 octets long.
	room := mtu - headerLen6 - fragmentHeader
	step := room &^ 7
	count := 0
	for start := 0; start < len(data); {
		size, more := step, uint16(moreFragments6)
		if rest := len(data) - start; rest <= room {
			size, more = rest, 0
		}
		out := a.Alloc(headerLen6 + fragmentHeader + size)
		if out == nil {
			return count, ErrNoRoom
		}
		copy(out, header)
		binary.BigEndian.PutUint16(out[offsetOfLength6:], uint16(fragmentHeader+size))
		out[offsetOfNextHdr6] = protoFragment
		out[headerLen6] = header[offsetOfNextHdr6]
		out[headerLen6+1] = 0
		binary.BigEndian.PutUint16(out[headerLen6+2:], uint16(start)|more)
		binary.BigEndian.PutUint32(out[headerLen6+4:], id)
		copy(out[headerLen6+fragmentHeader:], data[start:start+size])
		start += size
		count++
	}
	return count, nil
}

// whole6 returns packet without octets after its payload, once its header is
// known to describe it.
func whole6(packet []byte) ([]byte, error) {
	if len(packet) < headerLen6 || packet[0]>>4 != 6 {
		return nil, fmt.Errorf("no IPv6 header: %w", ErrMalformed)
	}
	length := headerLen6 + int(binary.BigEndian.Uint16(packet[offsetOfLength6:]))
	if length > len(packet) {
		return nil, fmt.Errorf("IPv6 payload is cut short: %w", ErrMalformed)
	}
	switch packet[offsetOfNextHdr6] {
	case protoHopByHop, protoRouting, protoFragment:
		return nil, fmt.Errorf("IPv6 packet has headers before the fragmentable part: %w", ErrMalformed)
	}
	return packet[:length], nil
}

// copyWhole hands a packet that needs no cutting to a.
func copyWhole(a Arena, packet []byte) (int, error) {
	out := a.Alloc(len(packet))
	if out == nil {
		return 0, ErrNoRoom
	}
	copy(out, packet)
	return 1, nil
}
