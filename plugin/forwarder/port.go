package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// ICMPv4 types (RFC 792).
const (
	icmp4EchoReply    = 0
	icmp4Unreachable  = 3
	icmp4Quench       = 4
	icmp4Redirect     = 5
	icmp4Echo         = 8
	icmp4TimeExceeded = 11
	icmp4Parameter    = 12
)

// icmpHeaderLen is the fixed part of ICMPv4 and ICMPv6 messages in octets.
const icmpHeaderLen = 8

// direction says whose port identifies the softwire of a packet.
type direction uint8

const (
	toB4   direction = iota // the destination's
	fromB4                  // the source's
)

// portOf finds the port that identifies the softwire of the IPv4 packet b,
// which is not a fragment. The event says why there is none.
func portOf(b []byte, h *header4, dir direction) (port uint16, event Event, ok bool) {
	payload := b[h.length:h.total]
	switch h.proto {
	case protoTCP, protoUDP, protoDCCP, protoSCTP, protoUDPLite:
		// All of these begin with source port and destination port.
		if len(payload) < 8 {
			return 0, DropIPv4Malformed, false
		}
		if dir == toB4 {
			return binary.BigEndian.Uint16(payload[2:]), 0, true
		}
		return binary.BigEndian.Uint16(payload), 0, true
	case protoICMP:
		return icmpPort(payload, h, dir)
	}
	return 0, DropNoPort, false
}

// icmpPort is portOf for ICMPv4 (RFC 7596 section 8.1).
func icmpPort(message []byte, h *header4, dir direction) (port uint16, event Event, ok bool) {
	if len(message) < icmpHeaderLen {
		return 0, DropIPv4Malformed, false
	}
	// RFC 5508 section 4.2, REQ-3: a message with a wrong checksum goes no
	// further.
	if checksum.Of(message) != 0 {
		return 0, DropICMPv4Checksum, false
	}
	switch message[0] {
	case icmp4EchoReply, icmp4Echo:
		// RFC 7596 section 8.1, item 2.
		return binary.BigEndian.Uint16(message[4:]), 0, true
	case icmp4Unreachable, icmp4Quench, icmp4Redirect, icmp4TimeExceeded, icmp4Parameter:
		// RFC 7596 section 8.1, item 3. An error for a lwB4 quotes what that
		// lwB4 sent, one from it quotes what it was sent; either way the quoted
		// packet's end at the shared address is the one that counts.
		if dir == toB4 {
			port, ok = quotedPort(message[icmpHeaderLen:], &h.dst, fromB4)
		} else {
			port, ok = quotedPort(message[icmpHeaderLen:], &h.src, toB4)
		}
		return port, DropICMPv4Unmatched, ok
	}
	return 0, DropICMPv4Unmatched, false
}

// quotedPort finds the port that the quoted packet b has on the side of
// address (RFC 5508 section 4.2, REQ-3).
func quotedPort(b []byte, address *[4]byte, dir direction) (port uint16, ok bool) {
	if len(b) < header4Len || b[0]>>4 != 4 {
		return 0, false
	}
	length := int(b[0]&0x0f) * 4
	// A later fragment quotes no ports.
	if length < header4Len || len(b) < length+8 || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return 0, false
	}
	// REQ-3 (a): no packet with a wrong header checksum is answered with an
	// error.
	if checksum.Of(b[:length]) != 0 {
		return 0, false
	}
	end := b[12:16]
	if dir == toB4 {
		end = b[16:20]
	}
	if [4]byte(end) != *address {
		return 0, false
	}
	payload := b[length:]
	switch b[9] {
	case protoTCP, protoUDP, protoDCCP, protoSCTP, protoUDPLite:
		if dir == toB4 {
			return binary.BigEndian.Uint16(payload[2:]), true
		}
		return binary.BigEndian.Uint16(payload), true
	case protoICMP:
		if payload[0] == icmp4Echo || payload[0] == icmp4EchoReply {
			return binary.BigEndian.Uint16(payload[4:]), true
		}
	}
	return 0, false
}

// isICMPError reports whether the IPv4 payload is an ICMPv4 message that must
// never be answered with an error: any but the known queries (RFC 1812
// section 4.3.2.7).
func isICMPError(h *header4, payload []byte) bool {
	if h.proto != protoICMP {
		return false
	}
	if h.fragment != 0 || len(payload) == 0 {
		return true // what it is cannot be told
	}
	switch payload[0] {
	case icmp4EchoReply, icmp4Echo, 13, 14, 15, 16, 17, 18:
		return false
	}
	return true
}
