// Package rcvbuf owns how much may wait in the kernel for a socket: what arrives in a
// moment when many clients ask at once.
package rcvbuf

import (
	"net"

	"golang.org/x/sys/unix"
)

// Set has octets wait for conn, beyond the host's limit (net.core.rmem_max) where the
// process may do that, and up to it otherwise. The error is one of the operating
// system.
func Set(conn *net.UDPConn, octets int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var denied error
	if err := raw.Control(func(fd uintptr) {
		denied = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, octets)
	}); err != nil {
		return err
	}
	if denied != nil {
		return conn.SetReadBuffer(octets)
	}
	return nil
}
