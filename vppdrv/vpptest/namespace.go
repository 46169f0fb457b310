package vpptest

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// namespace is a network namespace without a name: it goes when nobody uses it
// any more, so a killed test leaves nothing behind.
type namespace struct {
	handle netns.NsHandle
	links  *netlink.Handle
}

func newNamespace() (*namespace, error) {
	ns := &namespace{handle: netns.None()}
	err := inThread(func() error {
		var err error
		ns.handle, err = netns.New()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("new network namespace: %w", err)
	}
	if ns.links, err = netlink.NewHandleAt(ns.handle); err != nil {
		ns.close()
		return nil, fmt.Errorf("links of the namespace: %w", err)
	}
	return ns, nil
}

func (ns *namespace) close() {
	if ns.links != nil {
		ns.links.Close()
	}
	_ = ns.handle.Close() // nothing depends on it
}

// do calls f on a thread that is in the namespace.
func (ns *namespace) do(f func() error) error {
	return inThread(func() error {
		if err := netns.Set(ns.handle); err != nil {
			return fmt.Errorf("entering the namespace: %w", err)
		}
		return f()
	})
}

// inThread calls f on a thread of its own, which then ends: one that was in
// another namespace must not go back to the runtime.
func inThread(f func() error) error {
	result := make(chan error)
	go func() {
		err := errors.New("the function ended its goroutine")
		defer func() { result <- err }()
		runtime.LockOSThread()
		err = f()
	}()
	return <-result
}
