package netio

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

const (
	// maxSuper is the length in bytes of the longest super-packet: what an IPv4
	// total length can say.
	maxSuper = 65535
	// maxDatagrams is how many UDP datagrams Linux takes in one super-packet.
	maxDatagrams = 64
	// maxSegments keeps a super-packet of tiny segments below the number of
	// vectors that one system call takes (1024).
	maxSegments = 512
	// maxHeaders is the length of the longest headers of a super-packet: IPv4
	// without options, and TCP.
	maxHeaders = ipv4HeaderLen + 60
)

// parcel is what goes to the kernel at once: one packet as it is, or several
// packets of one flow as one super-packet, of which packets[first] gives the
// headers. The rest hangs together by coalescer.following.
type parcel struct {
	first, last int32
	count       int32
	headers     int32  // bytes of all headers, when open ever was true
	segment     int32  // payload bytes of every packet but the last
	length      int32  // of the super-packet
	sequence    uint32 // TCP: what the next packet must begin with
	id          uint16 // IPv4 Identification of the last packet
	open        bool   // whether another packet may follow
	verified    bool   // whether the first packet's checksums were looked at
}

// coalescer joins IPv4 packets of one flow that the kernel would cut again into
// the same packets: the inverse of segmenter. Packets of one flow stay in
// order; nothing is held back for later.
type coalescer struct {
	udp bool // whether the kernel takes super-packets of UDP

	packets   [][]byte
	parcels   []parcel
	following []int32 // the packet after packet i in its parcel, or -1
	flows     flowTable
}

// newCoalescer expects about batch packets at a time.
func newCoalescer(batch int, udp bool) *coalescer {
	return &coalescer{
		udp:       udp,
		parcels:   make([]parcel, 0, batch),
		following: make([]int32, 0, batch),
	}
}

// coalesce arranges packets in parcels, which are valid until its next call.
func (c *coalescer) coalesce(packets [][]byte) []parcel {
	c.packets, c.parcels, c.following = packets, c.parcels[:0], c.following[:0]
	c.flows.reset(len(packets))
	for i, packet := range packets {
		c.following = append(c.following, -1)
		c.add(int32(i), packet)
	}
	return c.parcels
}

func (c *coalescer) add(i int32, packet []byte) {
	p := parcel{first: i, last: i, count: 1, length: int32(len(packet))}
	key, ok := flowOf(packet)
	if !ok {
		c.parcels = append(c.parcels, p)
		return
	}
	latest := c.flows.find(key)
	joins := c.prepare(&p, packet)
	if *latest >= 0 {
		q := &c.parcels[*latest]
		if joins && q.open && c.join(q, &p, packet) {
			return
		}
		// A later packet of the flow must not overtake this one.
		q.open = false
	}
	*latest = int32(len(c.parcels))
	c.parcels = append(c.parcels, p)
}

// prepare fills p for a packet that may have companions, and reports whether it
// may have any.
func (c *coalescer) prepare(p *parcel, packet []byte) bool {
	if packet[0] != 4<<4|ipv4HeaderLen/4 || int(binary.BigEndian.Uint16(packet[2:])) != len(packet) {
		return false
	}
	transport := packet[ipv4HeaderLen:]
	headers := ipv4HeaderLen + udpHeaderLen
	flags := uint8(tcpACK)
	if packet[9] == protocolTCP {
		if len(transport) < tcpHeaderLen {
			return false
		}
		headers = ipv4HeaderLen + int(transport[12]>>4)*4
		flags = transport[tcpFlagsAt]
		if headers < ipv4HeaderLen+tcpHeaderLen || flags&^tcpPSH != tcpACK {
			return false
		}
		p.sequence = binary.BigEndian.Uint32(transport[4:])
	} else if !c.udp || len(transport) != int(binary.BigEndian.Uint16(transport[4:])) ||
		binary.BigEndian.Uint16(transport[6:]) == 0 {
		return false
	}
	payload := len(packet) - headers
	if payload <= 0 {
		return false
	}
	p.headers, p.segment = int32(headers), int32(payload)
	p.sequence += uint32(payload)
	p.id = binary.BigEndian.Uint16(packet[4:])
	p.open = flags&tcpPSH == 0
	return true
}

// join appends the packet of p, prepared, to q, where that keeps every bit of
// both that cutting would not restore. Otherwise both stay as they are.
func (c *coalescer) join(q, p *parcel, packet []byte) bool {
	first := c.packets[q.first]
	payload := p.segment
	if p.headers != q.headers || payload > q.segment || q.length+payload > maxSuper || q.count == maxSegments {
		return false
	}
	// Type of service, flags and time to live. RFC 6864 section 4: with DF the
	// Identification has no meaning; without, the kernel counts it up by one.
	if packet[1] != first[1] || packet[6] != first[6] || packet[8] != first[8] {
		return false
	}
	if packet[6]&0x40 == 0 && p.id != q.id+1 {
		return false
	}
	if packet[9] == protocolTCP {
		if binary.BigEndian.Uint32(packet[ipv4HeaderLen+4:]) != q.sequence {
			return false
		}
		if !sameTCP(packet[ipv4HeaderLen:p.headers], first[ipv4HeaderLen:q.headers]) {
			return false
		}
	} else if q.count == maxDatagrams {
		return false
	}
	// A super-packet gets new checksums, so wrong ones must not get in.
	if !q.verified {
		if !checksumsRight(first) {
			return false
		}
		q.verified = true
	}
	if !checksumsRight(packet) {
		return false
	}
	c.following[q.last] = p.first
	q.last, q.id, q.sequence = p.first, p.id, p.sequence
	q.count++
	q.length += payload
	q.open = p.open && payload == q.segment
	return true
}

// sameTCP compares TCP headers in all but ports, sequence number, PSH and
// checksum.
func sameTCP(a, b []byte) bool {
	return [4]byte(a[8:]) == [4]byte(b[8:]) && // acknowledgement
		a[12] == b[12] && a[tcpFlagsAt]&^tcpPSH == b[tcpFlagsAt]&^tcpPSH &&
		[2]byte(a[14:]) == [2]byte(b[14:]) && // window
		string(a[18:]) == string(b[18:]) // urgent pointer and options
}

// checksumsRight checks both checksums of a prepared packet.
func checksumsRight(packet []byte) bool {
	transport := packet[ipv4HeaderLen:]
	pseudo := sumPseudoHeader(packet[12:20], packet[9], len(transport))
	return checksum.Sum(packet[:ipv4HeaderLen], 0) == 0xffff && checksum.Sum(transport, pseudo) == 0xffff
}

// writeHeaders writes the headers of a super-packet to dst, which has room for
// maxHeaders, and returns their length and the header that tells the kernel to
// cut it. The header's offsets count from linkHeader bytes before dst.
func (c *coalescer) writeHeaders(dst []byte, p *parcel, linkHeader int) (int, vnetHeader) {
	first := c.packets[p.first]
	n := copy(dst, first[:p.headers])
	binary.BigEndian.PutUint16(dst[2:], uint16(p.length))
	setHeaderChecksum(dst[:ipv4HeaderLen])

	transport := dst[ipv4HeaderLen:n]
	vnet := vnetHeader{
		flags:         unix.VIRTIO_NET_HDR_F_NEEDS_CSUM,
		headerLen:     uint16(linkHeader + n),
		gsoSize:       uint16(p.segment),
		checksumStart: uint16(linkHeader + ipv4HeaderLen),
	}
	length := int(p.length) - ipv4HeaderLen
	if dst[9] == protocolTCP {
		vnet.gsoType, vnet.checksumOffset = unix.VIRTIO_NET_HDR_GSO_TCPV4, 16
		transport[tcpFlagsAt] |= c.packets[p.last][ipv4HeaderLen+tcpFlagsAt] & tcpPSH
	} else {
		vnet.gsoType, vnet.checksumOffset = unix.VIRTIO_NET_HDR_GSO_UDP_L4, 6
		binary.BigEndian.PutUint16(transport[4:], uint16(length))
	}
	binary.BigEndian.PutUint16(transport[vnet.checksumOffset:], sumPseudoHeader(dst[12:20], dst[9], length))
	return n, vnet
}

// appendVectors appends the packets of p to vectors, each without its first
// skip bytes.
func (c *coalescer) appendVectors(vectors []unix.Iovec, p *parcel, skip int) []unix.Iovec {
	for i := p.first; i >= 0; i = c.following[i] {
		vectors = append(vectors, unix.Iovec{})
		setVector(&vectors[len(vectors)-1], c.packets[i][skip:])
	}
	return vectors
}
