package netio

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// vnetHeaderLen is the length in bytes of the header that TUN devices with
// IFF_VNET_HDR and packet sockets with PACKET_VNET_HDR put before a packet.
const vnetHeaderLen = 10

// vnetHeader is struct virtio_net_hdr: what of checksum and segmentation is
// still to be done with the packet behind it. Offsets count from the packet's
// first byte, which is the link header's where there is one.
type vnetHeader struct {
	flags          uint8
	gsoType        uint8
	headerLen      uint16 // a hint of how much is headers; not to be trusted
	gsoSize        uint16 // payload bytes of each segment but the last
	checksumStart  uint16
	checksumOffset uint16 // of the field, from checksumStart
}

// parseVnetHeader reads a header of at least vnetHeaderLen bytes. Linux writes
// the fields in the machine's byte order unless asked otherwise.
func parseVnetHeader(b []byte) vnetHeader {
	_ = b[vnetHeaderLen-1]
	return vnetHeader{
		flags:          b[0],
		gsoType:        b[1],
		headerLen:      binary.NativeEndian.Uint16(b[2:]),
		gsoSize:        binary.NativeEndian.Uint16(b[4:]),
		checksumStart:  binary.NativeEndian.Uint16(b[6:]),
		checksumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

// put writes the header to the first vnetHeaderLen bytes of b.
func (h vnetHeader) put(b []byte) {
	_ = b[vnetHeaderLen-1]
	b[0], b[1] = h.flags, h.gsoType
	binary.NativeEndian.PutUint16(b[2:], h.headerLen)
	binary.NativeEndian.PutUint16(b[4:], h.gsoSize)
	binary.NativeEndian.PutUint16(b[6:], h.checksumStart)
	binary.NativeEndian.PutUint16(b[8:], h.checksumOffset)
}

// super reports whether the packet is larger than a packet on the wire and is
// to be cut into segments.
func (h vnetHeader) super() bool {
	return h.gsoType != unix.VIRTIO_NET_HDR_GSO_NONE
}

// needsChecksum reports whether the transport checksum is only begun.
func (h vnetHeader) needsChecksum() bool {
	return h.flags&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0
}
