package encap

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// MaxTooBig is the length in octets of the longest packet that TooBigError
// makes.
const MaxTooBig = 576 // RFC 1812 section 4.3.2.3

// errorHeaders is the length of IPv4 and ICMP headers of an error, in octets.
const errorHeaders = headerLen + 8

// TooBigError writes to buf, of at least MaxTooBig octets, the ICMPv4 error
// that tells the sender of an IPv4 packet the largest size in octets that fits
// (RFC 1191 section 4), and returns it. It returns nil for packets that must
// not be answered.
func TooBigError(buf, packet []byte, mtu int) []byte {
	h, ok := parse(packet)
	// RFC 1812 section 4.3.2.7: no error about an error, or about a fragment
	// other than the first.
	if !ok || h.laterFragment || len(packet) < h.length+8 ||
		h.protocol == protoICMP && !isQuery(packet[h.length:]) {
		return nil
	}
	out := buf[:min(errorHeaders+len(packet), MaxTooBig)]
	clear(out[:errorHeaders])
	copy(out[errorHeaders:], packet)

	out[0] = 0x45
	out[1] = 0xc0 // RFC 1812 section 4.3.2.5: internetwork control
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	out[8] = 64
	out[9] = protoICMP
	// It stands for the far end of the softwire: an address of the CPE's own
	// would not be believed when it comes out of the softwire.
	copy(out[12:], []byte{192, 0, 0, 1})
	copy(out[16:20], packet[12:16])
	binary.BigEndian.PutUint16(out[10:], checksum.Of(out[:headerLen]))

	message := out[headerLen:]
	message[0], message[1] = 3, 4 // fragmentation needed and DF set
	binary.BigEndian.PutUint16(message[6:], uint16(mtu))
	binary.BigEndian.PutUint16(message[2:], checksum.Of(message))
	return out
}
