package lwb4sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// TUN is a link whose other end is the kernel, in the network namespace it was
// opened in: what lwB4s send arrives on the device, and what is routed to the
// device arrives at them.
type TUN struct{ file *os.File }

// OpenTUN makes a device and brings it up. Routes of the lwB4s' prefixes to it
// are for the caller. The device goes away with Close.
func OpenTUN(name string) (*TUN, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	if err := setUp(fd, name); err != nil {
		return nil, errors.Join(fmt.Errorf("TUN device %s: %w", name, err), unix.Close(fd))
	}
	// Not before now: the runtime polls only what can be polled.
	return &TUN{file: os.NewFile(uintptr(fd), "/dev/net/tun")}, nil
}

func setUp(fd int, name string) error {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return err
	}
	socket, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// Close removes the device.
func (t *TUN) Close() error { return t.file.Close() }

// Send is as Link.Send.
func (t *TUN) Send(packet []byte) error {
	_, err := t.file.Write(packet)
	return err
}

// Receive is as Link.Receive. Packets that do not fit are cut.
func (t *TUN) Receive(ctx context.Context, b []byte) (int, error) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = t.file.SetReadDeadline(time.Unix(1, 0))
	})
	n, err := t.file.Read(b)
	if !stop() {
		// What wakes this call must not wake the next one.
		<-woken
		_ = t.file.SetReadDeadline(time.Time{})
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return n, err
}
