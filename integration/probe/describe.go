package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Describe is a packet in one line: the addresses, what is in it, and the same
// for an IPv4 packet within. It never fails; of what is cut off or unknown it
// says so.
func Describe(packet []byte) string {
	switch {
	case len(packet) >= 40 && packet[0]>>4 == 6:
		return describe6(packet)
	case len(packet) >= 20 && packet[0]>>4 == 4 && int(packet[0]&0xf)*4 >= 20 && int(packet[0]&0xf)*4 <= len(packet):
		return describe4(packet)
	}
	return fmt.Sprintf("no IP packet (%d octets)", len(packet))
}

func describe6(b []byte) string {
	line := fmt.Sprintf("IPv6 %s > %s", netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])))
	if class := b[0]<<4 | b[1]>>4; class != 0 {
		line += fmt.Sprintf(" class %#02x", class)
	}
	protocol, payload := b[6], b[40:]
	if protocol == unix.IPPROTO_FRAGMENT && len(payload) >= 8 {
		word := binary.BigEndian.Uint16(payload[2:])
		line += fmt.Sprintf(" fragment at %d", word&^7)
		if word&1 != 0 {
			line += "+"
		}
		protocol, payload = payload[0], payload[8:]
		if word&^7 != 0 {
			return fmt.Sprintf("%s: %d octets", line, len(payload))
		}
	}
	if protocol == unix.IPPROTO_IPIP {
		return line + " [ " + Describe(payload) + " ]"
	}
	return line + ": " + transport(protocol, payload)
}

func describe4(b []byte) string {
	line := fmt.Sprintf("IPv4 %s > %s", netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])))
	if b[1] != 0 {
		line += fmt.Sprintf(" tos %#02x", b[1])
	}
	payload := b[int(b[0]&0xf)*4:]
	word := binary.BigEndian.Uint16(b[6:])
	if offset := int(word&0x1fff) * 8; offset != 0 {
		return fmt.Sprintf("%s fragment at %d: %d octets", line, offset, len(payload))
	}
	if word&0x2000 != 0 {
		line += " fragment at 0+"
	}
	return line + ": " + transport(b[9], payload)
}

func transport(protocol uint8, b []byte) string {
	if len(b) < 8 {
		return fmt.Sprintf("protocol %d, %d octets", protocol, len(b))
	}
	ports := fmt.Sprintf("%d > %d", binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]))
	switch {
	case protocol == unix.IPPROTO_UDP:
		return fmt.Sprintf("UDP %s, %d octets", ports, len(b)-8)
	case protocol == unix.IPPROTO_TCP && len(b) >= 20:
		return fmt.Sprintf("TCP %s %s, %d octets", ports, tcpFlags(b[13]), max(len(b)-int(b[12]>>4)*4, 0))
	case protocol == unix.IPPROTO_ICMP:
		return fmt.Sprintf("ICMP type %d code %d id %d, %d octets", b[0], b[1], binary.BigEndian.Uint16(b[4:]), len(b)-8)
	case protocol == unix.IPPROTO_ICMPV6:
		return fmt.Sprintf("ICMPv6 type %d code %d, %d octets", b[0], b[1], len(b)-8)
	}
	return fmt.Sprintf("protocol %d, %d octets", protocol, len(b))
}

func tcpFlags(flags uint8) string {
	var names []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK"} {
		if flags>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}
