package netio

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// sumPseudoHeader is the folded sum of the pseudo-header of RFC 9293 section
// 3.1 and RFC 8200 section 8.1. addresses is source and destination as they
// stand in the header, length that of the transport header and its data.
func sumPseudoHeader(addresses []byte, protocol uint8, length int) uint16 {
	var rest [8]byte
	binary.BigEndian.PutUint32(rest[:], uint32(length))
	rest[7] = protocol
	return checksum.Sum(addresses, checksum.Sum(rest[:], 0))
}

// completeChecksum finishes a transport checksum of which the field holds the
// pseudo-header's sum so far. The checksum covers packet from start on, and its
// field is offset bytes after start. It is false where that is outside packet.
func completeChecksum(packet []byte, start, offset int) bool {
	if start+offset+2 > len(packet) {
		return false
	}
	setChecksum(packet[start+offset:], ^checksum.Sum(packet[start:], 0))
	return true
}

// setChecksum stores a transport checksum. RFC 768: a zero would say that there
// is none, so it is sent as its other form; TCP takes either.
func setChecksum(field []byte, sum uint16) {
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(field, sum)
}

// setHeaderChecksum computes the checksum of an IPv4 header with its options.
func setHeaderChecksum(header []byte) {
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], ^checksum.Sum(header, 0))
}
