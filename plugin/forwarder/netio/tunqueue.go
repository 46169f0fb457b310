package netio

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// receiveBytes bounds how much is read before it is processed, so that
// super-packets are still in the cache when they are cut.
const receiveBytes = 256 << 10

// tunQueue is one queue of a TUN device.
type tunQueue struct {
	fd       int
	name     string
	offload  *coalescer // nil without offload
	vnetLen  int        // bytes before each packet: vnetHeaderLen, or 0
	scratch  []byte     // headers of the super-packet being sent
	vectors  []unix.Iovec
	counters counters
}

var _ device = (*tunQueue)(nil)

// newTUNQueue takes fd over. Offload is nil if packets have no vnetHeader.
func newTUNQueue(fd int, name string, offload *coalescer) *tunQueue {
	t := &tunQueue{fd: fd, name: name, offload: offload}
	if offload != nil {
		t.vnetLen = vnetHeaderLen
		t.scratch = make([]byte, vnetHeaderLen+maxHeaders)
		t.vectors = make([]unix.Iovec, 0, 128)
	}
	return t
}

func (t *tunQueue) descriptor() int  { return t.fd }
func (t *tunQueue) count() *counters { return &t.counters }

func (t *tunQueue) receive(slots []slot) (int, error) {
	n := 0
	for bytes := 0; n < len(slots) && bytes < receiveBytes; {
		s := &slots[n]
		length, err := unix.Read(t.fd, s.buf[Headroom-t.vnetLen:])
		if err != nil {
			return n, t.receiveError(err)
		}
		if length < t.vnetLen {
			t.counters.drop(rxVersion)
			continue
		}
		s.start, s.end = Headroom, Headroom-t.vnetLen+length
		if s.end > Headroom+MaxPacket {
			t.counters.drop(rxTruncated)
			continue
		}
		s.vnet = vnetHeader{}
		if t.vnetLen > 0 {
			s.vnet = parseVnetHeader(s.buf[Headroom-vnetHeaderLen:])
		}
		bytes += length
		n++
	}
	return n, nil
}

// receiveError sorts out what ends the port.
func (t *tunQueue) receiveError(err error) error {
	switch {
	case temporary(err):
		return nil
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EBADFD):
		return fmt.Errorf("%s: %w (%w)", t.name, ErrGone, err)
	}
	return fmt.Errorf("%s: read: %w", t.name, err)
}

func (t *tunQueue) transmit(packets [][]byte) error {
	if t.offload == nil {
		for _, packet := range packets {
			if err := t.sent(write(t.fd, packet), 1, len(packet)); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range t.offload.coalesce(packets) {
		if err := t.transmitParcel(&t.offload.parcels[i]); err != nil {
			return err
		}
	}
	return nil
}

// transmitParcel writes one packet or super-packet with its vnetHeader.
func (t *tunQueue) transmitParcel(p *parcel) error {
	vnet, at, length := vnetHeader{}, vnetHeaderLen, int(p.length)
	skip := 0 // of each packet: its headers, where the parcel has its own
	if p.count > 1 {
		var n int
		n, vnet = t.offload.writeHeaders(t.scratch[vnetHeaderLen:], p, 0)
		at += n
		skip = n
		length += (int(p.count) - 1) * n
		t.counters.txSupers.Add(1)
	}
	vnet.put(t.scratch)
	t.vectors = append(t.vectors[:0], unix.Iovec{})
	setVector(&t.vectors[0], t.scratch[:at])
	t.vectors = t.offload.appendVectors(t.vectors, p, skip)
	return t.sent(writev(t.fd, t.vectors), int(p.count), length)
}

// sent counts packets by what became of them.
func (t *tunQueue) sent(err error, packets, bytes int) error {
	if err == nil {
		t.counters.sent(packets, bytes)
		return nil
	}
	t.counters.drops[txCause(err)].Add(uint64(packets))
	if errors.Is(err, unix.EBADFD) {
		return fmt.Errorf("%s: %w (%w)", t.name, ErrGone, err)
	}
	return nil
}

func (t *tunQueue) inject(packet []byte) error {
	var err error
	if t.vnetLen == 0 {
		err = write(t.fd, packet)
	} else {
		vectors := make([]unix.Iovec, 2)
		setVector(&vectors[0], make([]byte, vnetHeaderLen))
		setVector(&vectors[1], packet)
		err = writev(t.fd, vectors)
	}
	if gone := t.sent(err, 1, len(packet)); gone != nil {
		return gone
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", t.name, ErrDropped, err)
	}
	return nil
}

func write(fd int, packet []byte) error {
	_, err := unix.Write(fd, packet)
	return err
}

// txCause is the cause under which a packet is counted that the kernel did not
// take.
func txCause(err error) cause {
	switch {
	case temporary(err), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		return txFull
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENXIO):
		return txDown
	case errors.Is(err, unix.EMSGSIZE):
		return txTooLong
	}
	return txRefused
}
