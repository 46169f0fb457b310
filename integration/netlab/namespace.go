package netlab

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace is one node of a lab: a network stack of its own.
type Namespace struct {
	name   string
	lab    *Lab
	handle netns.NsHandle
	links  *netlink.Handle

	// One thread keeps the namespace and starts its processes: a child's
	// parent-death signal is sent when the thread that forked it ends, not the
	// process.
	tasks chan func()
	ended chan struct{}
}

// Namespace adds a node with only a loopback interface, which is up. The name
// is for messages and need not be unique.
func (l *Lab) Namespace(name string) (*Namespace, error) {
	ns := &Namespace{name: name, lab: l, tasks: make(chan func()), ended: make(chan struct{})}
	made := make(chan error)
	go ns.keep(made)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	err := l.keep(func() { l.namespaces = append(l.namespaces, ns) })
	if err == nil {
		err = ns.prepare()
	} else {
		err = errors.Join(err, ns.close())
	}
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return ns, nil
}

// keep is the thread of the namespace.
func (n *Namespace) keep(made chan<- error) {
	defer close(n.ended)
	// Never unlocked: the thread is in the namespace for good and ends with
	// this goroutine.
	runtime.LockOSThread()
	handle, err := unshare()
	n.handle = handle
	made <- err
	if err != nil {
		return
	}
	for task := range n.tasks {
		task()
	}
}

func unshare() (netns.NsHandle, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return netns.None(), fmt.Errorf("unshare: %w", err)
	}
	return netns.Get()
}

// prepare makes addresses usable at once and for as long as the lab lives.
func (n *Namespace) prepare() error {
	var err error
	if n.links, err = netlink.NewHandleAt(n.handle); err != nil {
		return err
	}
	lo, err := n.links.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := n.links.LinkSetUp(lo); err != nil {
		return err
	}
	for _, scope := range []string{"all", "default"} {
		// Duplicate address detection would keep addresses unusable for a
		// second, and nobody here has the same address twice.
		if err := n.Sysctl("net/ipv6/conf/"+scope+"/accept_dad", "0"); err != nil {
			return err
		}
		for _, key := range []string{"accept_ra", "router_solicitations"} {
			if err := n.Sysctl("net/ipv6/conf/"+scope+"/"+key, "0"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Namespace) close() error {
	close(n.tasks)
	<-n.ended
	if n.links != nil {
		n.links.Close()
	}
	return n.handle.Close()
}

// String is the name.
func (n *Namespace) String() string { return n.name }

// Do runs f on a thread that is in the namespace and returns its error.
// Sockets that f opens stay in the namespace; goroutines that f starts are not
// in it.
func (n *Namespace) Do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		before, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("namespace %s: %w", n.name, err)
			return
		}
		defer func() { _ = before.Close() }() // only read from
		if err := netns.Set(n.handle); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("namespace %s: %w", n.name, err)
			return
		}
		err = f()
		// A thread that cannot go back stays locked and ends here.
		if netns.Set(before) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// Sysctl writes a file below /proc/sys as the namespace sees it.
func (n *Namespace) Sysctl(key, value string) error {
	if strings.Contains(key, "..") {
		return fmt.Errorf("sysctl %s: not below /proc/sys", key)
	}
	return n.Do(func() error {
		return os.WriteFile(path.Join("/proc/sys", key), []byte(value), 0o644)
	})
}

// Forward makes the node a router for both families.
func (n *Namespace) Forward() error {
	return errors.Join(n.Sysctl("net/ipv4/ip_forward", "1"), n.Sysctl("net/ipv6/conf/all/forwarding", "1"))
}
