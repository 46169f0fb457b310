package netio

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// errSuper is a super-packet that cannot be cut: its headers are malformed, do
// not agree with the kind of segmentation asked for, or are of an unknown kind.
var errSuper = errors.New("malformed or unknown super-packet")

// segmenter cuts a super-packet into the packets that a network card would have
// put on the wire: TCP segments, or UDP datagrams of one length, in IPv4, in
// IPv6 or in IPv4 in IPv6.
type segmenter struct {
	packet []byte
	headers
	segment int // payload bytes of each segment but the last
	index   int // of the next segment
	at      int // offset of its payload in packet
}

// start takes a super-packet and its header. The packet must stay as it is
// until the last segment has been taken.
func (s *segmenter) start(packet []byte, vnet vnetHeader) error {
	h, err := findHeaders(packet)
	if err != nil {
		return errSuper
	}
	inner := h.layers[h.count-1]
	protocol := uint8(protocolTCP)
	switch vnet.gsoType &^ unix.VIRTIO_NET_HDR_GSO_ECN {
	case unix.VIRTIO_NET_HDR_GSO_TCPV4:
		if inner.version != 4 {
			return errSuper
		}
	case unix.VIRTIO_NET_HDR_GSO_TCPV6:
		if inner.version != 6 {
			return errSuper
		}
	case unix.VIRTIO_NET_HDR_GSO_UDP_L4:
		protocol = protocolUDP
	default:
		return errSuper
	}
	if h.protocol != protocol || vnet.gsoSize == 0 {
		return errSuper
	}
	longest := 65535 // IPv4's total length, or IPv6's payload length
	if inner.version == 6 {
		longest += ipv6HeaderLen
	}
	if h.length-inner.at+int(vnet.gsoSize) > longest {
		return errSuper
	}
	*s = segmenter{packet: packet, headers: h, segment: int(vnet.gsoSize), at: h.length}
	return nil
}

// next is the length of the next segment with its headers; zero after the last
// one. A packet without payload is one segment.
func (s *segmenter) next() int {
	if s.at == len(s.packet) && s.index > 0 {
		return 0
	}
	return s.length + min(s.segment, len(s.packet)-s.at)
}

// take writes the next segment to dst, whose length is what next said.
func (s *segmenter) take(dst []byte) {
	copy(dst, s.packet[:s.length])
	payload := len(dst) - s.length
	copy(dst[s.length:], s.packet[s.at:s.at+payload])
	last := s.at+payload == len(s.packet)

	for _, layer := range s.layers[:s.count] {
		header := dst[layer.at:]
		if layer.version == 6 {
			binary.BigEndian.PutUint16(header[4:], uint16(len(header)-ipv6HeaderLen))
			continue
		}
		binary.BigEndian.PutUint16(header[2:], uint16(len(header)))
		// The sender counted on one Identification per segment.
		id := binary.BigEndian.Uint16(header[4:]) + uint16(s.index)
		binary.BigEndian.PutUint16(header[4:], id)
		setHeaderChecksum(header[:int(header[0]&0xf)*4])
	}

	transport := dst[s.transport:]
	if s.protocol == protocolTCP {
		sequence := binary.BigEndian.Uint32(transport[4:]) + uint32(s.at-s.length)
		binary.BigEndian.PutUint32(transport[4:], sequence)
		if !last {
			transport[tcpFlagsAt] &^= tcpFIN | tcpPSH
		}
		// RFC 3168 section 6.1.2: CWR tells of one reduction, so it is said once.
		if s.index > 0 {
			transport[tcpFlagsAt] &^= tcpCWR
		}
	} else {
		binary.BigEndian.PutUint16(transport[4:], uint16(len(transport)))
	}
	field := dst[s.checksumAt():]
	field[0], field[1] = 0, 0
	setChecksum(field, ^checksum.Sum(transport, s.sumAddresses(dst, len(transport))))

	s.at += payload
	s.index++
}
