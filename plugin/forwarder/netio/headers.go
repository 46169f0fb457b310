package netio

import (
	"encoding/binary"
	"errors"
)

const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	tcpHeaderLen  = 20
	udpHeaderLen  = 8
)

// Protocol numbers, as in IPv4's Protocol and IPv6's Next Header.
const (
	protocolHopByHop    = 0
	protocolIPv4        = 4
	protocolTCP         = 6
	protocolUDP         = 17
	protocolDestination = 60
)

const (
	tcpFlagsAt = 13 // in the TCP header

	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpACK = 0x10
	tcpCWR = 0x80
)

// errHeaders is a packet whose headers do not lead to TCP or UDP.
var errHeaders = errors.New("no way through the headers to TCP or UDP")

// ipLayer is one IP header of a packet.
type ipLayer struct {
	at      int // offset in the packet
	version uint8
}

// headers is where the headers of a packet are: IPv4 or IPv6, or IPv4 in IPv6,
// and TCP or UDP.
type headers struct {
	layers    [2]ipLayer
	count     int // of layers in use
	transport int // offset of the TCP or UDP header
	protocol  uint8
	length    int // of all headers, so the offset of the payload
}

// findHeaders finds the headers of a packet. It refuses fragments, and every
// extension header but hop-by-hop and destination options: with a routing
// header the checksum would be over another address.
func findHeaders(packet []byte) (headers, error) {
	var h headers
	if len(packet) == 0 {
		return h, errHeaders
	}
	var protocol uint8
	at, ok := 0, false
	switch packet[0] >> 4 {
	case 6:
		h.layers[0] = ipLayer{at: 0, version: 6}
		h.count = 1
		if protocol, at, ok = skipIPv6(packet); !ok {
			return h, errHeaders
		}
		if protocol != protocolIPv4 {
			break
		}
		fallthrough
	case 4:
		h.layers[h.count] = ipLayer{at: at, version: 4}
		h.count++
		var length int
		if protocol, length, ok = skipIPv4(packet[at:]); !ok {
			return h, errHeaders
		}
		at += length
	default:
		return h, errHeaders
	}
	h.transport, h.protocol = at, protocol
	switch protocol {
	case protocolTCP:
		if len(packet) < at+tcpHeaderLen {
			return h, errHeaders
		}
		h.length = at + int(packet[at+12]>>4)*4
		if h.length < at+tcpHeaderLen {
			return h, errHeaders
		}
	case protocolUDP:
		h.length = at + udpHeaderLen
	default:
		return h, errHeaders
	}
	if len(packet) < h.length {
		return h, errHeaders
	}
	return h, nil
}

// skipIPv4 finds what follows the IPv4 header at the start of b.
func skipIPv4(b []byte) (protocol uint8, length int, ok bool) {
	if len(b) < ipv4HeaderLen || b[0]>>4 != 4 {
		return 0, 0, false
	}
	length = int(b[0]&0xf) * 4
	if length < ipv4HeaderLen || len(b) < length {
		return 0, 0, false
	}
	// RFC 791 section 3.1: more fragments, or an offset.
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return 0, 0, false
	}
	return b[9], length, true
}

// skipIPv6 finds what follows the IPv6 header and its options at the start of b.
func skipIPv6(b []byte) (protocol uint8, at int, ok bool) {
	if len(b) < ipv6HeaderLen {
		return 0, 0, false
	}
	protocol, at = b[6], ipv6HeaderLen
	for protocol == protocolHopByHop || protocol == protocolDestination {
		if len(b) < at+8 {
			return 0, 0, false
		}
		// RFC 8200 section 4.3: the length counts 8-octet units after the first.
		protocol, at = b[at], at+8+int(b[at+1])*8
	}
	return protocol, at, at <= len(b)
}

// sumAddresses is the folded sum of the pseudo-header for length bytes of
// transport header and data, with the addresses of the innermost IP header.
func (h *headers) sumAddresses(packet []byte, length int) uint16 {
	layer := h.layers[h.count-1]
	if layer.version == 4 {
		return sumPseudoHeader(packet[layer.at+12:layer.at+20], h.protocol, length)
	}
	return sumPseudoHeader(packet[layer.at+8:layer.at+40], h.protocol, length)
}

// checksumAt is the offset of the transport checksum in the packet.
func (h *headers) checksumAt() int {
	if h.protocol == protocolTCP {
		return h.transport + 16
	}
	return h.transport + 6
}
