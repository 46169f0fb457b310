package differential

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// longest is the most octets of a packet that are shown.
const longest = 160

// describe says in a line what a packet is, and shows its octets. It takes
// anything.
func describe(b []byte) string {
	shown, more := b, ""
	if len(b) > longest {
		shown, more = b[:longest], "..."
	}
	return fmt.Sprintf("%s\n      %x%s", headline(b), shown, more)
}

func headline(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	switch b[0] >> 4 {
	case 4:
		return headline4(b)
	case 6:
		return headline6(b)
	}
	return fmt.Sprintf("%d octets", len(b))
}

func headline4(b []byte) string {
	header := int(b[0]&15) * 4
	if len(b) < 20 || header < 20 || len(b) < header {
		return fmt.Sprintf("%d octets, broken IPv4", len(b))
	}
	var t strings.Builder
	fmt.Fprintf(&t, "IPv4 %s > %s, %d of %d octets, TOS %#02x, id %#04x, TTL %d",
		netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])),
		len(b), binary.BigEndian.Uint16(b[2:]), b[1], binary.BigEndian.Uint16(b[4:]), b[8])
	field := binary.BigEndian.Uint16(b[6:])
	if field&0x4000 != 0 {
		t.WriteString(", DF")
	}
	if field&0x2000 != 0 {
		t.WriteString(", MF")
	}
	if field&0x1fff != 0 {
		fmt.Fprintf(&t, ", offset %d", field&0x1fff*8)
	}
	fmt.Fprintf(&t, ", protocol %d", b[9])
	if rest := b[header:]; field&0x1fff == 0 && len(rest) >= 8 {
		if b[9] == 1 {
			fmt.Fprintf(&t, " type %d code %d rest %x", rest[0], rest[1], rest[4:8])
			if rest[0] != 0 && rest[0] != 8 {
				fmt.Fprintf(&t, " (%s)", headline(rest[8:]))
			}
		} else {
			fmt.Fprintf(&t, " %d > %d", binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:]))
		}
	}
	return t.String()
}

func headline6(b []byte) string {
	if len(b) < 40 {
		return fmt.Sprintf("%d octets, broken IPv6", len(b))
	}
	var t strings.Builder
	first := binary.BigEndian.Uint32(b)
	fmt.Fprintf(&t, "IPv6 %s > %s, %d of %d octets, class %#02x, label %#05x, hop limit %d",
		netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])),
		len(b), 40+int(binary.BigEndian.Uint16(b[4:])), first>>20&0xff, first&0xfffff, b[7])
	next, rest := b[6], b[40:]
	for {
		fmt.Fprintf(&t, ", next %d", next)
		switch next {
		case 0, 43, 60:
			if len(rest) < 8 || len(rest) < 8+int(rest[1])*8 {
				return t.String()
			}
			next, rest = rest[0], rest[8+int(rest[1])*8:]
			continue
		case 44:
			if len(rest) < 8 {
				return t.String()
			}
			field := binary.BigEndian.Uint16(rest[2:])
			fmt.Fprintf(&t, " id %#x offset %d more %d", binary.BigEndian.Uint32(rest[4:]), field&^7, field&1)
			next, rest = rest[0], rest[8:]
			if field&^7 != 0 {
				return t.String()
			}
			continue
		case 58:
			if len(rest) >= 8 {
				fmt.Fprintf(&t, " type %d code %d rest %x", rest[0], rest[1], rest[4:8])
				if rest[0] < 128 {
					fmt.Fprintf(&t, " (%s)", headline(rest[8:]))
				}
			}
		case 4:
			fmt.Fprintf(&t, " [%s]", headline(rest))
		}
		return t.String()
	}
}
