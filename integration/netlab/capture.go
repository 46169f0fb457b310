package netlab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Frame is one captured Ethernet frame.
type Frame struct {
	At       time.Time // when it was read
	Outgoing bool      // whether the node sent it
	Data     []byte    // from the Ethernet header on
}

// EtherHeader is the length of an Ethernet header in octets.
const EtherHeader = 14

// Packet is what the frame carries: an IP packet, or nil.
func (f Frame) Packet() []byte {
	if len(f.Data) < EtherHeader {
		return nil
	}
	switch binary.BigEndian.Uint16(f.Data[12:]) {
	case unix.ETH_P_IP, unix.ETH_P_IPV6:
		return f.Data[EtherHeader:]
	}
	return nil
}

// Capture is a listener on one interface. The kernel holds what was not read
// yet, some megabytes of it.
type Capture struct {
	where string
	file  *os.File
	buf   []byte
}

// captureBuffer is what the kernel may hold of a capture, in octets.
const captureBuffer = 16 << 20

// Capture starts to listen on an interface, in both directions.
func (n *Namespace) Capture(iface string) (*Capture, error) {
	c := &Capture{where: n.name + ":" + iface, buf: make([]byte, 1<<16)}
	err := n.Do(func() error {
		link, err := net.InterfaceByName(iface)
		if err != nil {
			return err
		}
		// Protocol 0 receives nothing until bind names the interface.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		c.file = os.NewFile(uintptr(fd), c.where)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian16(unix.ETH_P_ALL), Ifindex: link.Index})
	})
	if err != nil {
		if c.file != nil {
			err = errors.Join(err, c.file.Close())
		}
		return nil, fmt.Errorf("capture on %s: %w", c.where, err)
	}
	return c, nil
}

// bigEndian16 is v as the kernel wants protocols in a socket address.
func bigEndian16(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// Next blocks for the next frame, which belongs to the caller. It returns the
// context's error when that ends first.
func (c *Capture) Next(ctx context.Context) (Frame, error) {
	stop := context.AfterFunc(ctx, func() {
		_ = c.file.SetReadDeadline(time.Unix(1, 0)) // only fails when closed, which ends the read too
	})
	defer stop()
	for {
		var frame Frame
		err := c.read(func(f Frame, err error) bool {
			frame = f
			return !errors.Is(err, unix.EAGAIN)
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return frame, err
		}
		if ctx.Err() != nil {
			return Frame{}, ctx.Err()
		}
		// The deadline is that of an earlier call.
		if err := c.file.SetReadDeadline(time.Time{}); err != nil {
			return Frame{}, c.wrap(err)
		}
	}
}

// Drain returns the frames that wait, without blocking.
func (c *Capture) Drain() ([]Frame, error) {
	if err := c.file.SetReadDeadline(time.Time{}); err != nil {
		return nil, c.wrap(err)
	}
	var all []Frame
	for more := true; more; {
		err := c.read(func(f Frame, err error) bool {
			if more = err == nil; more {
				all = append(all, f)
			}
			return true
		})
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return all, err
		}
	}
	return all, nil
}

// read calls done with one frame or error, and again when the socket is
// readable if done returns false.
func (c *Capture) read(done func(Frame, error) bool) error {
	conn, err := c.file.SyscallConn()
	if err != nil {
		return c.wrap(err)
	}
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		var n int
		var from unix.Sockaddr
		n, from, failed = unix.Recvfrom(int(fd), c.buf, 0)
		if failed != nil {
			return done(Frame{}, failed)
		}
		f := Frame{At: time.Now(), Data: append([]byte(nil), c.buf[:n]...)}
		if sender, ok := from.(*unix.SockaddrLinklayer); ok {
			f.Outgoing = sender.Pkttype == unix.PACKET_OUTGOING
		}
		return done(f, nil)
	})
	if err = errors.Join(err, failed); err != nil {
		return c.wrap(err)
	}
	return nil
}

func (c *Capture) wrap(err error) error { return fmt.Errorf("capture on %s: %w", c.where, err) }

// Close ends the capture.
func (c *Capture) Close() error { return c.file.Close() }
