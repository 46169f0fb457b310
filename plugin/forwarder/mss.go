package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// TCP header facts (RFC 9293 section 3.1).
const (
	tcpHeaderLen = 20
	tcpFlagSYN   = 0x02
	tcpOptionEnd = 0
	tcpOptionNop = 1
	tcpOptionMSS = 2
	tcpHeaders   = header4Len + tcpHeaderLen // what an MSS leaves out

)

// clampMSS lowers the MSS option of a TCP handshake in the IPv4 packet b to at
// most limit octets and corrects the checksum. It reports whether it did.
func clampMSS(b []byte, h *header4, limit uint16) bool {
	segment := b[h.length:h.total]
	if len(segment) < tcpHeaderLen || segment[13]&tcpFlagSYN == 0 {
		return false
	}
	offset := int(segment[12]>>4) * 4
	if offset < tcpHeaderLen || offset > len(segment) {
		return false
	}
	options := segment[tcpHeaderLen:offset]
	for i := 0; i < len(options); {
		switch options[i] {
		case tcpOptionEnd:
			return false
		case tcpOptionNop:
			i++
			continue
		}
		if len(options)-i < 2 || options[i+1] < 2 || int(options[i+1]) > len(options)-i {
			return false
		}
		if options[i] == tcpOptionMSS && options[i+1] == 4 {
			old := binary.BigEndian.Uint16(options[i+2:])
			if old <= limit {
				return false
			}
			binary.BigEndian.PutUint16(options[i+2:], limit)
			at := tcpHeaderLen + i + 2
			if at%2 == 0 {
				checksum.Adjust(segment[16:], old, limit)
			} else {
				// The option straddles two checksum words, which swaps the
				// octets of its value as the sum sees them.
				checksum.Adjust(segment[16:], old<<8|old>>8, limit<<8|limit>>8)
			}
			return true
		}
		i += int(options[i+1])
	}
	return false
}
