package tunnel

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
)

// slotLen is the room for one received packet, in octets: the longest IPv4
// packet, and one more that shows that there was more.
const slotLen = 65536

// control is the one control message that comes with each packet: its traffic
// class.
type control struct {
	header unix.Cmsghdr
	class  int32
	_      int32 // the kernel rounds up
}

// downlink is the way from the AFTR to the TUN device. One goroutine has it.
type downlink struct {
	*User
	br       [16]byte
	messages [batch]message
	vectors  [batch]unix.Iovec
	sources  [batch]unix.RawSockaddrInet6
	controls [batch]control
	memory   []byte
	packets  [][]byte
}

func newDownlink(u *User) *downlink {
	d := &downlink{User: u, br: u.config.Ends.BR.As16(), memory: make([]byte, batch*slotLen)}
	d.packets = make([][]byte, 0, batch)
	for i := range d.messages {
		point(&d.vectors[i], d.slot(i))
		h := &d.messages[i].header
		h.Iov = &d.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&d.sources[i]))
		h.Control = (*byte)(unsafe.Pointer(&d.controls[i]))
	}
	return d
}

func (d *downlink) slot(i int) []byte { return d.memory[i*slotLen : (i+1)*slotLen] }

func (d *downlink) run() error {
	for {
		more, err := d.waitReadable(d.sockets.receive)
		if err != nil || !more {
			return err
		}
		if err := d.receive(); err != nil {
			return err
		}
	}
}

// receive moves what waits.
func (d *downlink) receive() error {
	for i := range d.messages {
		h := &d.messages[i].header
		h.Namelen = uint32(unsafe.Sizeof(d.sources[i]))
		h.SetControllen(int(unsafe.Sizeof(d.controls[i])))
	}
	n, err := exchange(unix.SYS_RECVMMSG, d.sockets.receive, d.messages[:], unix.MSG_DONTWAIT)
	if err != nil {
		return d.receiveError(err)
	}
	d.packets = d.packets[:0]
	for i := range n {
		packet := d.slot(i)[:d.messages[i].length]
		v := d.check(i, packet)
		d.stats.inbound[v].Add(1)
		if v == encap.Pass {
			d.packets = append(d.packets, packet)
		}
	}
	return d.tun.Transmit(d.packets)
}

// receiveError sorts out what ends the tunnel: only what is wrong with the
// socket. Anybody on the way can send an ICMPv6 error, which is reported here
// too, and it must not stop anything.
func (d *downlink) receiveError(err error) error {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case errors.Is(err, unix.EBADF), errors.Is(err, unix.ENOTSOCK), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EFAULT):
		return fmt.Errorf("receive from the AFTR: %w", err)
	default:
		d.stats.inbound[encap.Refused].Add(1)
	}
	return nil
}

func (d *downlink) check(i int, packet []byte) encap.Verdict {
	// RFC 7596 section 5.2: what is not from the configured lwAFTR MUST be
	// discarded. The connected socket sees to it, except for what came in
	// before it was connected.
	if d.sources[i].Addr != d.br {
		return encap.OuterSource
	}
	trafficClass, ok := d.controls[i].trafficClass()
	if !ok || d.messages[i].header.Flags&unix.MSG_TRUNC != 0 {
		return encap.Malformed
	}
	return d.softwire.Load().Inbound(packet, trafficClass)
}

func (c *control) trafficClass() (uint8, bool) {
	ok := c.header.Level == unix.SOL_IPV6 && c.header.Type == unix.IPV6_TCLASS
	return uint8(c.class), ok
}
