package tunnel

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
)

// Sizes of what the kernel may hold for a socket, in octets.
const (
	receiveBuffer = 16 << 20
	sendBuffer    = 4 << 20
)

// sockets are the way to the AFTR.
type sockets struct {
	// receive has IPv4-in-IPv6 from the BR address to the lwB4's, reassembled
	// and without the outer header.
	receive int
	// send takes packets with their outer header.
	send int
	// probe knows the path MTU and never sends.
	probe int
	// errors has ICMPv6 errors of the BR address.
	errors int
}

func openSockets(s assign.Ends) (*sockets, error) {
	all := &sockets{receive: -1, send: -1, probe: -1, errors: -1}
	if err := all.open(s); err != nil {
		all.close()
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: run as root", err)
		}
		return nil, err
	}
	return all, nil
}

func (all *sockets) open(s assign.Ends) error {
	var err error
	if all.receive, err = connected(unix.SOCK_RAW, unix.IPPROTO_IPIP, s); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(all.receive, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return fmt.Errorf("receive buffer: %w", err)
	}
	if err := unix.SetsockoptInt(all.receive, unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1); err != nil {
		return fmt.Errorf("receive traffic class: %w", err)
	}
	if all.send, err = connected(unix.SOCK_RAW, unix.IPPROTO_RAW, s); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(all.send, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer); err != nil {
		return fmt.Errorf("send buffer: %w", err)
	}
	// A full queue slows the LAN down rather than losing its packets, but not
	// for ever.
	if err := unix.SetsockoptTimeval(all.send, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return fmt.Errorf("send timeout: %w", err)
	}
	if all.probe, err = connected(unix.SOCK_DGRAM, unix.IPPROTO_UDP, s); err != nil {
		return err
	}
	if all.errors, err = connected(unix.SOCK_RAW, unix.IPPROTO_ICMPV6, s); err != nil {
		return err
	}
	const unreachable = 1 // RFC 4443 section 3.1
	if err := unix.SetsockoptICMPv6Filter(all.errors, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, icmp6Filter(unreachable)); err != nil {
		return fmt.Errorf("filter of ICMPv6: %w", err)
	}
	if err := unix.SetNonblock(all.errors, true); err != nil {
		return fmt.Errorf("ICMPv6 socket: %w", err)
	}
	return nil
}

// connected opens a socket between the softwire's two ends.
func connected(kind, protocol int, s assign.Ends) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, fmt.Errorf("socket for protocol %d: %w", protocol, err)
	}
	if err := unix.Bind(fd, address(s.B4)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind to lwB4 address %s: %w", s.B4, err)
	}
	if err := connect(fd, s.BR); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func connect(fd int, br netip.Addr) error {
	if err := unix.Connect(fd, address(br)); err != nil {
		return fmt.Errorf("no way to BR address %s: %w", br, err)
	}
	return nil
}

func address(a netip.Addr) *unix.SockaddrInet6 {
	// No port: raw sockets refuse one, and the probe sends nothing.
	return &unix.SockaddrInet6{Addr: a.As16()}
}

// pathMTU asks the kernel for the largest packet in octets that the way to br
// carries.
func (all *sockets) pathMTU(br netip.Addr) (int, error) {
	// Only a new connect looks at the route and what is known of it again.
	if err := connect(all.probe, br); err != nil {
		return 0, err
	}
	mtu, err := unix.GetsockoptInt(all.probe, unix.SOL_IPV6, unix.IPV6_MTU)
	if err != nil {
		return 0, fmt.Errorf("path MTU to %s: %w", br, err)
	}
	return mtu, nil
}

func (all *sockets) close() {
	for _, fd := range []int{all.receive, all.send, all.probe, all.errors} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// message is struct mmsghdr: one message of recvmmsg and sendmmsg.
type message struct {
	header unix.Msghdr
	length uint32 // of what was received or sent
}

// exchange calls recvmmsg or sendmmsg and returns how many messages it moved.
// An error is that of the first message, when none was moved.
func exchange(call uintptr, fd int, messages []message, flags int) (int, error) {
	n, _, errno := unix.Syscall6(call, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// point makes v describe b, which is not empty.
func point(v *unix.Iovec, b []byte) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
}
