package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

const (
	ethernetLen = 14
	// linkHeaders is what stands before each packet of a packet socket.
	linkHeaders = vnetHeaderLen + ethernetLen
	// parcelRoom is a message's room for linkHeaders and the headers of a
	// super-packet.
	parcelRoom = linkHeaders + maxHeaders
)

// packetQueue is one queue of an interface that is opened with AF_PACKET.
type packetQueue struct {
	fd       int
	name     string
	side     dataplane.Side
	nextHop  *nextHop
	wanted   *atomic.Pointer[destinations]
	offload  *coalescer // nil if nothing is to be joined
	rx       []mmsghdr
	rxVector []unix.Iovec
	tx       []outgoing
	txHeader []mmsghdr // of tx
	scratch  []byte    // parcelRoom bytes for each message of tx
	vectors  []unix.Iovec
	counters counters
	// alive tells after ENETDOWN whether the interface is still there.
	alive func() bool
	stats sync.Mutex // makes reading and resetting the kernel's counter one
}

// outgoing is what one message of a packetQueue holds.
type outgoing struct {
	packets int
	bytes   int // of IP
	super   bool
}

var _ device = (*packetQueue)(nil)

// newPacketQueue takes fd over. What wanted points to may be exchanged while
// packets are received.
func newPacketQueue(fd int, name string, side dataplane.Side, hop *nextHop, wanted *atomic.Pointer[destinations], batch int, offload *coalescer) *packetQueue {
	p := &packetQueue{
		fd: fd, name: name, side: side, nextHop: hop, wanted: wanted, offload: offload,
		rx:       make([]mmsghdr, batch),
		rxVector: make([]unix.Iovec, batch),
		tx:       make([]outgoing, 0, batch),
		txHeader: make([]mmsghdr, batch),
		scratch:  make([]byte, batch*parcelRoom),
		vectors:  make([]unix.Iovec, 0, 4*batch),
		alive:    func() bool { return true },
	}
	for i := range p.rx {
		p.rx[i].hdr.Iov = &p.rxVector[i]
		p.rx[i].hdr.SetIovlen(1)
	}
	return p
}

func (p *packetQueue) descriptor() int  { return p.fd }
func (p *packetQueue) count() *counters { return &p.counters }

func (p *packetQueue) receive(slots []slot) (int, error) {
	slots = slots[:min(len(slots), len(p.rx))]
	for i := range slots {
		setVector(&p.rxVector[i], slots[i].buf[Headroom-linkHeaders:])
	}
	received, err := recvmmsg(p.fd, p.rx[:len(slots)])
	if err != nil {
		return 0, p.receiveError(err)
	}
	wanted := *p.wanted.Load()
	n := 0
	for i := range received {
		// Slots without a packet move behind those with one.
		slots[n], slots[i] = slots[i], slots[n]
		s := &slots[n]
		s.start, s.end = Headroom, Headroom-linkHeaders+int(p.rx[i].length)
		if s.end > s.start && !wanted.take(s.buf[s.start:s.end]) {
			continue
		}
		if s.end > Headroom+MaxPacket || p.rx[i].hdr.Flags&unix.MSG_TRUNC != 0 {
			p.counters.drop(rxTruncated)
			continue
		}
		if s.end <= s.start {
			p.counters.drop(rxVersion)
			continue
		}
		s.vnet = parseVnetHeader(s.buf[Headroom-linkHeaders:])
		if s.vnet.needsChecksum() {
			// From here on offsets count from the IP header.
			if s.vnet.checksumStart < ethernetLen {
				p.counters.drop(rxOffload)
				continue
			}
			s.vnet.checksumStart -= ethernetLen
		}
		s.end = Headroom + withoutPadding(s.buf[s.start:s.end])
		n++
	}
	return n, nil
}

// withoutPadding is the length of the IP packet at the start of b, which may be
// followed by what fills up a short Ethernet frame. What contradicts that is
// left to whoever looks at headers.
func withoutPadding(b []byte) int {
	length := len(b)
	switch {
	case b[0]>>4 == 4 && len(b) >= ipv4HeaderLen:
		length = int(binary.BigEndian.Uint16(b[2:]))
	case b[0]>>4 == 6 && len(b) >= ipv6HeaderLen:
		length = ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	}
	if length < ipv4HeaderLen || length > len(b) {
		return len(b)
	}
	return length
}

// receiveError sorts out what ends the port.
func (p *packetQueue) receiveError(err error) error {
	switch {
	case temporary(err), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		return nil
	case errors.Is(err, unix.EINVAL):
		// The kernel has no vnetHeader for that packet, and dropped it.
		p.counters.drop(rxOffload)
		return nil
	case errors.Is(err, unix.ENETDOWN) && p.alive():
		return nil // packets come again when it is up again
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("%s: %w", p.name, ErrGone)
	}
	return fmt.Errorf("%s: receive: %w", p.name, err)
}

func (p *packetQueue) transmit(packets [][]byte) error {
	destination, source := p.nextHop.destination.Load(), p.nextHop.source.Load()
	if destination == 0 {
		p.counters.drops[txNoNextHop].Add(uint64(len(packets)))
		return nil
	}
	if p.offload == nil {
		for _, packet := range packets {
			header := p.message(destination, source)
			p.vectors = append(p.vectors, unix.Iovec{}, unix.Iovec{})
			setVector(&p.vectors[len(p.vectors)-2], header[:linkHeaders])
			setVector(&p.vectors[len(p.vectors)-1], packet)
			if err := p.queue(outgoing{packets: 1, bytes: len(packet)}, 2); err != nil {
				return err
			}
		}
		return p.flush()
	}
	parcels := p.offload.coalesce(packets)
	for i := range parcels {
		if err := p.queueParcel(&parcels[i], destination, source); err != nil {
			return err
		}
	}
	return p.flush()
}

// queueParcel makes a message of one packet or super-packet.
func (p *packetQueue) queueParcel(parcel *parcel, destination, source uint64) error {
	header := p.message(destination, source)
	at, skip := linkHeaders, 0
	out := outgoing{packets: int(parcel.count), bytes: int(parcel.length)}
	if parcel.count > 1 {
		n, vnet := p.offload.writeHeaders(header[linkHeaders:], parcel, ethernetLen)
		vnet.put(header)
		at += n
		skip = n
		out.bytes += (int(parcel.count) - 1) * n
		out.super = true
	}
	p.vectors = append(p.vectors, unix.Iovec{})
	setVector(&p.vectors[len(p.vectors)-1], header[:at])
	p.vectors = p.offload.appendVectors(p.vectors, parcel, skip)
	return p.queue(out, int(parcel.count)+1)
}

// message begins a message with an empty vnetHeader and an Ethernet header, and
// returns its room for headers.
func (p *packetQueue) message(destination, source uint64) []byte {
	n := len(p.tx)
	header := p.scratch[n*parcelRoom : (n+1)*parcelRoom]
	vnetHeader{}.put(header)
	p.putEthernet(header[vnetHeaderLen:], destination, source)
	return header
}

// putEthernet writes an Ethernet header to b.
func (p *packetQueue) putEthernet(b []byte, destination, source uint64) {
	// The eight bytes' last two are overwritten by what follows.
	binary.BigEndian.PutUint64(b, destination<<16)
	binary.BigEndian.PutUint64(b[6:], source<<16)
	binary.BigEndian.PutUint16(b[12:], etherType(p.side))
}

// queue ends a message of which the vectors have been appended, and sends all
// messages when there are enough.
func (p *packetQueue) queue(out outgoing, vectors int) error {
	p.tx = append(p.tx, out)
	p.txHeader[len(p.tx)-1].hdr.SetIovlen(vectors)
	if len(p.tx) == cap(p.tx) {
		return p.flush()
	}
	return nil
}

// flush sends the messages.
func (p *packetQueue) flush() error {
	messages := p.txHeader[:len(p.tx)]
	// Only now, because appending may have moved the vectors.
	at := 0
	for i := range messages {
		messages[i].hdr.Iov = &p.vectors[at]
		at += int(messages[i].hdr.Iovlen)
	}
	for done := 0; done < len(messages); {
		n, err := sendmmsg(p.fd, messages[done:])
		for _, out := range p.tx[done : done+n] {
			p.sent(nil, out)
		}
		done += n
		if err == nil {
			continue
		}
		if temporary(err) {
			// The socket's queue is full, and stays so for a while.
			for _, out := range p.tx[done:] {
				p.sent(err, out)
			}
			break
		}
		p.sent(err, p.tx[done])
		done++
		if errors.Is(err, unix.ENXIO) && !p.alive() {
			return fmt.Errorf("%s: %w", p.name, ErrGone)
		}
	}
	p.tx, p.vectors = p.tx[:0], p.vectors[:0]
	return nil
}

// sent counts the packets of a message by what became of them.
func (p *packetQueue) sent(err error, out outgoing) {
	if err != nil {
		p.counters.drops[txCause(err)].Add(uint64(out.packets))
		return
	}
	p.counters.sent(out.packets, out.bytes)
	if out.super {
		p.counters.txSupers.Add(1)
	}
}

func (p *packetQueue) inject(packet []byte) error {
	destination, source := p.nextHop.destination.Load(), p.nextHop.source.Load()
	if destination == 0 {
		p.counters.drop(txNoNextHop)
		return fmt.Errorf("%s: %w: the next hop's link address is not known", p.name, ErrDropped)
	}
	header := make([]byte, linkHeaders)
	p.putEthernet(header[vnetHeaderLen:], destination, source)
	vectors := make([]unix.Iovec, 2)
	setVector(&vectors[0], header)
	setVector(&vectors[1], packet)
	err := writev(p.fd, vectors)
	p.sent(err, outgoing{packets: 1, bytes: len(packet)})
	if err != nil {
		return fmt.Errorf("%s: %w: %w", p.name, ErrDropped, err)
	}
	return nil
}

// overruns adds to the counters what the kernel dropped since the last call.
func (p *packetQueue) overruns() {
	p.stats.Lock()
	defer p.stats.Unlock()
	if stats, err := unix.GetsockoptTpacketStats(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		p.counters.drops[rxOverrun].Add(uint64(stats.Drops))
	}
}
