package cpe

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrRunning reports another CPE in the same network namespace. It would share
// the names of what is made there.
var ErrRunning = errors.New("another lwb4 runs in this network namespace: stop it first")

// claimName is a name of an abstract socket. The kernel keeps these apart by
// network namespace and gives them back when their process ends, however it does.
const claimName = "@lw4o6-lwb4"

// claim makes this the only CPE of the calling thread's network namespace until
// release is called. The error wraps ErrRunning if there is one already.
func claim() (release func() error, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("claim the network namespace: %w", err)
	}
	// Nobody listens on the socket: only its name is wanted.
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: claimName})
	if errors.Is(err, unix.EADDRINUSE) {
		err = ErrRunning
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("claim the network namespace: %w", err)
	}
	return func() error { return unix.Close(fd) }, nil
}
