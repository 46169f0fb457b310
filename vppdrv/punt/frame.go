package punt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// A datagram starts with the number of an interface and an action, each four
// octets in the byte order of the machine (punt_packetdesc_t of vnet/ip/punt.h
// in VPP).
const descriptor = 8

// Actions of datagrams to VPP.
const (
	actionIPv4 = 1
	actionIPv6 = 2
)

// VPP writes packets from where it assumes an Ethernet header on, which is 14
// octets before what it takes for the packet, and 4 more for each VLAN tag that
// the packet came with. For us, it took the packet to start six octets earlier
// than it does (see package topology).
const (
	offset = 14 + 6
	vlan   = 4
	vlans  = 2
)

// ErrNoPacket reports a datagram in which there is no IP packet where there
// should be one.
var ErrNoPacket = errors.New("no IP packet in a punted datagram")

// parse returns the interface that punted a packet, and the packet. It is that
// part of datagram in which an IP header says the truth about it; of the few
// places where it can be, the first.
func parse(datagram []byte) (index uint32, packet []byte, err error) {
	if len(datagram) < descriptor+offset {
		return 0, nil, fmt.Errorf("%w: of %d octets", ErrNoPacket, len(datagram))
	}
	index = binary.NativeEndian.Uint32(datagram)
	for tags := range vlans + 1 {
		start := descriptor + offset + vlan*tags
		if start >= len(datagram) {
			break
		}
		if packet := whole(datagram[start:]); packet != nil {
			return index, packet, nil
		}
	}
	return index, nil, fmt.Errorf("%w: of %d octets", ErrNoPacket, len(datagram))
}

// whole returns the IP packet that b starts with, without padding, or nil.
func whole(b []byte) []byte {
	const header4, header6 = 20, 40
	length := 0
	switch {
	case b[0] == 0x45 && len(b) >= header4:
		if length = int(binary.BigEndian.Uint16(b[2:])); length < header4 || checksum.Of(b[:header4]) != 0 {
			return nil
		}
	case b[0]>>4 == 6 && len(b) >= header6:
		length = header6 + int(binary.BigEndian.Uint16(b[4:]))
	default:
		return nil
	}
	if length > len(b) {
		return nil
	}
	return b[:length]
}

// MaxPacket is the longest packet that VPP takes, in octets: it reads a packet
// into one buffer, which has this size unless VPP is configured otherwise.
const MaxPacket = 2048

// frame returns a datagram that makes VPP look packet up as if an interface
// had received it.
func frame(index uint32, packet []byte) ([]byte, error) {
	action, ok := actionFor(packet)
	if !ok || len(packet) > MaxPacket {
		return nil, fmt.Errorf("%w: of %d octets to send", ErrNoPacket, len(packet))
	}
	b := binary.NativeEndian.AppendUint32(make([]byte, 0, descriptor+len(packet)), index)
	return append(binary.NativeEndian.AppendUint32(b, action), packet...), nil
}

// actionFor is the action for an IP packet, if its header is right about its
// length: VPP does not look at what it is to send.
func actionFor(packet []byte) (action uint32, ok bool) {
	const minHeader4, header6 = 20, 40
	switch {
	case len(packet) > minHeader4 && packet[0]>>4 == 4: // VPP takes no bare header
		header, length := 4*int(packet[0]&0xf), int(binary.BigEndian.Uint16(packet[2:]))
		return actionIPv4, header >= minHeader4 && header <= length && length == len(packet)
	case len(packet) >= header6 && packet[0]>>4 == 6:
		return actionIPv6, header6+int(binary.BigEndian.Uint16(packet[4:])) == len(packet)
	}
	return 0, false
}
