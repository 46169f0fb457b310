package tunnel

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
)

// icmp6Filter is a struct icmp6_filter that lets one type pass: a bit that is
// set blocks.
func icmp6Filter(kind uint8) *unix.ICMPv6Filter {
	f := &unix.ICMPv6Filter{}
	for i := range f.Data {
		f.Data[i] = 1<<32 - 1
	}
	f.Data[kind/32] &^= 1 << (kind % 32)
	return f
}

// listen waits for the AFTR to say that it has no binding. Of its errors only those
// about what was sent lately count: they could be anybody's who forges the AFTR's
// address.
func (u *User) listen() error {
	buf := make([]byte, 2048)
	for {
		more, err := u.waitReadable(u.sockets.errors)
		if err != nil || !more {
			return err
		}
		// The socket is connected: what is not from the AFTR does not arrive (RFC 7596
		// section 5.1).
		n, err := unix.Read(u.sockets.errors, buf)
		switch {
		case errors.Is(err, unix.EBADF), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EFAULT):
			return fmt.Errorf("receive ICMPv6 errors: %w", err)
		case err != nil:
			continue // an error about this socket's own address, or nothing there
		}
		inner, ok := encap.Unbound(buf[:n], u.config.Ends)
		switch {
		case !ok:
		case !u.sent.has(inner, time.Now()):
			u.stats.inbound[encap.Unasked].Add(1)
		default:
			u.stats.inbound[encap.NoBinding].Add(1)
			u.config.Unbound()
		}
	}
}
