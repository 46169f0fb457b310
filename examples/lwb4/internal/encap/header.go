package encap

import (
	"encoding/binary"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// Protocol numbers (IANA).
const (
	protoICMP = 1
	protoIPIP = 4
	protoTCP  = 6
	protoUDP  = 17
)

// headerLen is the length of an IPv4 header without options, in octets.
const headerLen = 20

// header is what of an IPv4 header matters to a softwire.
type header struct {
	length              int // in octets
	protocol            uint8
	laterFragment       bool // a fragment other than the first
	source, destination netip.Addr
}

// parse reads the header of a whole IPv4 packet.
func parse(b []byte) (header, bool) {
	if len(b) < headerLen || b[0]>>4 != 4 {
		return header{}, false
	}
	length := int(b[0]&0xf) * 4
	if length < headerLen || length > len(b) || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return header{}, false
	}
	return header{
		length:        length,
		protocol:      b[9],
		laterFragment: binary.BigEndian.Uint16(b[6:])&0x1fff != 0,
		source:        netip.AddrFrom4([4]byte(b[12:])),
		destination:   netip.AddrFrom4([4]byte(b[16:])),
	}, true
}

// end says whose port is meant.
type end uint8

const (
	source end = iota
	destination
)

// opposite is the end that is ours in a packet that an ICMP error sends back.
func (e end) opposite() end { return 1 - e }

// port reads the port at one end of a packet that parse has accepted: for ICMP
// queries the identifier, for ICMP errors that of the packet they are about
// (RFC 7596 section 8.1).
func (h header) port(packet []byte, e end) (uint16, bool) {
	payload := packet[h.length:]
	if len(payload) < 8 {
		return 0, false
	}
	switch h.protocol {
	case protoTCP, protoUDP:
		return binary.BigEndian.Uint16(payload[2*e:]), true
	case protoICMP:
		switch {
		case isQuery(payload):
			return binary.BigEndian.Uint16(payload[4:]), true
		case isError(payload):
			return embeddedPort(payload[8:], e.opposite())
		}
	}
	return 0, false
}

// embeddedPort is port for the beginning of a packet. An error about an error
// does not exist.
func embeddedPort(b []byte, e end) (uint16, bool) {
	if len(b) < headerLen || b[0]>>4 != 4 {
		return 0, false
	}
	length := int(b[0]&0xf) * 4
	// RFC 792: at least 8 octets follow the embedded header.
	if length < headerLen || len(b) < length+8 || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return 0, false
	}
	payload := b[length:]
	switch b[9] {
	case protoTCP, protoUDP:
		return binary.BigEndian.Uint16(payload[2*e:]), true
	case protoICMP:
		return binary.BigEndian.Uint16(payload[4:]), isQuery(payload)
	}
	return 0, false
}

// isQuery reports whether an ICMP message has an identifier: echo and
// timestamp, requests and replies.
func isQuery(message []byte) bool {
	switch message[0] {
	case 0, 8, 13, 14:
		return true
	}
	return false
}

// isError reports whether an ICMP message is about a packet: unreachable, time
// exceeded, parameter problem.
func isError(message []byte) bool {
	switch message[0] {
	case 3, 11, 12:
		return true
	}
	return false
}

// DontFragment reports whether the sender of a packet that Outbound has passed
// asks to be told when it does not fit.
func DontFragment(packet []byte) bool { return packet[6]&0x40 != 0 }

// setTOS changes the octet that IPv6 calls the traffic class.
func setTOS(packet []byte, tos uint8) {
	before := binary.BigEndian.Uint16(packet)
	packet[1] = tos
	checksum.Adjust(packet[10:12], before, binary.BigEndian.Uint16(packet))
}

// flowLabel is 20 bits that are the same for all packets of a flow (RFC 6438
// section 3), never zero. Fragments count as a flow of their own, because only
// their first one has ports.
func flowLabel(packet []byte) uint32 {
	h := uint64(packet[9])
	mix := func(v uint64) {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	mix(binary.BigEndian.Uint64(packet[12:]))
	length := int(packet[0]&0xf) * 4
	fragmented := binary.BigEndian.Uint16(packet[6:])&0x3fff != 0
	if (packet[9] == protoTCP || packet[9] == protoUDP) && !fragmented && len(packet) >= length+4 {
		mix(uint64(binary.BigEndian.Uint32(packet[length:])))
	}
	return max(uint32(h)&0xfffff, 1)
}
