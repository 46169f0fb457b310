package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Node runs functions in its network namespace.
type Node interface {
	Do(f func() error) error
}

// Listen opens a TCP listener on a node.
func Listen(n Node, address string) (net.Listener, error) {
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	return l, err
}

// Dial connects from a node. The address is numeric: a name would be looked up
// outside the node.
func Dial(ctx context.Context, n Node, network, address string) (net.Conn, error) {
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// socket is what sockets of package net have in common.
type socket interface {
	syscall.Conn
	SetDeadline(t time.Time) error
}

// setOption sets an integer option of IPv4.
func setOption(s socket, option, value int) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, option, value) })
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("IP option %d: %w", option, err)
	}
	return nil
}

// getOption reads an integer option of IPv4.
func getOption(s socket, option int) (value int, err error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { value, failed = unix.GetsockoptInt(int(fd), unix.SOL_IP, option) })
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("IP option %d: %w", option, err)
	}
	return value, nil
}

// until makes s give up when ctx ends; the returned function takes that back.
func until(ctx context.Context, s socket) func() {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = s.SetDeadline(time.Unix(1, 0)) // only fails when closed, which has the same effect
	})
	return func() {
		if !stop() {
			<-fired
			_ = s.SetDeadline(time.Time{}) // as above
		}
	}
}

// cause is ctx's error where that is why err happened.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
