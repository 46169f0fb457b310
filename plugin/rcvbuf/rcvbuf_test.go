package rcvbuf

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSet: the kernel takes what was asked for from a process that may do that.
func TestSet(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("root is missing: others have the host's limit")
	}
	packets, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	conn := packets.(*net.UDPConn)
	const octets = 4 << 20
	if err := Set(conn, octets); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	if outer := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) }); outer != nil || err != nil {
		t.Fatal(outer, err)
	}
	// socket(7): "The kernel doubles this value".
	if got != 2*octets {
		t.Errorf("%d octets, want %d", got, 2*octets)
	}
	conn.Close()
	if err := Set(conn, octets); err == nil {
		t.Error("a socket that is closed was changed")
	}
}
