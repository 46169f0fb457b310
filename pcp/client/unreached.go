package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is a UDP socket that says when the network reports that a datagram of its
// cannot arrive.
type socket struct {
	*net.UDPConn
	raw syscall.RawConn
}

// unreachedError is such a report. The socket goes on.
type unreachedError struct {
	to  netip.AddrPort
	why syscall.Errno
}

func (e *unreachedError) Error() string { return fmt.Sprintf("%s cannot be reached: %v", e.to, e.why) }

// askForReports has the kernel keep ICMP errors for a socket, for drain.
func askForReports(network, _ string, c syscall.RawConn) error {
	level, option := unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	if network == "udp4" {
		level, option = unix.IPPROTO_IP, unix.IP_RECVERR
	}
	var err error
	if outer := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }); outer != nil {
		return outer
	}
	return err
}

// ReadFrom is as net.PacketConn.ReadFrom. The error may be an *unreachedError.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.UDPConn.ReadFrom(b)
		if err == nil || !errors.As(err, new(syscall.Errno)) {
			return n, from, err
		}
		// Read it ends the error that reports cause; any other one stays.
		reports, hard := s.drain()
		switch {
		case hard != nil:
			return 0, nil, hard
		case reports == 0:
			return n, from, err
		}
	}
}

// drain takes all reports, and returns how many there were and the last one that is
// a hard error.
func (s *socket) drain() (reports int, hard error) {
	var data, control [512]byte
	for {
		var n int
		var to unix.Sockaddr
		var err error
		if outer := s.raw.Control(func(fd uintptr) {
			_, n, _, to, err = unix.Recvmsg(int(fd), data[:], control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		}); outer != nil || err != nil {
			return reports, hard
		}
		reports++
		if why, ok := hardError(control[:n]); ok {
			hard = &unreachedError{sockaddr(to), why}
		}
	}
}

// hardError is the error in the control messages of a report, if it is a hard one
// of ICMP: RFC 1122 section 4.2.3.9 has those that more attempts do not mend.
func hardError(control []byte) (syscall.Errno, bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		ours := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		// struct sock_extended_err: the error in 4 octets, then who reports it.
		if !ours || len(m.Data) < 8 || m.Data[4] != unix.SO_EE_ORIGIN_ICMP && m.Data[4] != unix.SO_EE_ORIGIN_ICMP6 {
			continue
		}
		why := syscall.Errno(binary.NativeEndian.Uint32(m.Data))
		if slices.Contains([]syscall.Errno{syscall.ECONNREFUSED, syscall.ENOPROTOOPT, syscall.EACCES}, why) {
			return why, true
		}
	}
	return 0, false
}

func sockaddr(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
