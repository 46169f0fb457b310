package netlab

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ErrUnavailable reports a machine or a user that cannot have a lab. The text
// says what is missing.
var ErrUnavailable = errors.New("network namespaces are unavailable")

// Lab is a network under construction or in use. Its methods may be called
// from several goroutines.
type Lab struct {
	mu         sync.Mutex
	closed     bool
	links      atomic.Int32 // made so far
	namespaces []*Namespace
	processes  []*Process
}

// New returns an empty lab. It makes nothing yet.
func New() *Lab { return &Lab{} }

// Available reports why this process cannot make a lab, or nil. The error
// wraps ErrUnavailable.
func Available() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: not root", ErrUnavailable)
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: no TUN device: %w", ErrUnavailable, err)
	}
	_ = f.Close() // opened only to see whether it can be
	l := New()
	ns, err := l.Namespace("probe")
	if err == nil {
		err = ns.Do(func() error { return unix.Access("/proc/sys/net/ipv6", unix.R_OK) })
	}
	if err = errors.Join(err, l.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Close stops every process, the last started first, and gives the namespaces
// back to the kernel, which takes down what is in them.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var errs []error
	for _, p := range slices.Backward(l.processes) {
		errs = append(errs, p.Stop())
	}
	for _, ns := range l.namespaces {
		errs = append(errs, ns.close())
	}
	l.processes, l.namespaces = nil, nil
	return errors.Join(errs...)
}

var errClosed = errors.New("the lab is closed")

// keep registers what must be closed, unless the lab is closed already.
func (l *Lab) keep(register func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	register()
	return nil
}
