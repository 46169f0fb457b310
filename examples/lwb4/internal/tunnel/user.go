package tunnel

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
)

// batch is how many packets are moved at a time.
const batch = 64

// User is a tunnel in user space.
type User struct {
	config   Config
	log      logrus.FieldLogger
	softwire atomic.Pointer[encap.Softwire]
	sent     recent
	tun      *netio.TUN
	sockets  *sockets
	wake     int // a descriptor that is readable when Run is to end

	mtu   atomic.Int32 // what the path carries, in octets
	stats counters
}

// OpenUser makes a TUN device and the sockets behind it. No packet moves before
// Run.
func OpenUser(c Config, log logrus.FieldLogger) (*User, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	u := &User{config: c, log: log, wake: -1}
	u.Use(assign.Ports{})
	if err := u.open(); err != nil {
		u.release()
		return nil, err
	}
	return u, nil
}

func (u *User) open() error {
	var err error
	if u.tun, err = netio.OpenTUN(netio.DeviceConfig{Kind: netio.KindTUN, Name: u.config.Name}, batch); err != nil {
		return err
	}
	handle, err := netio.OpenNetlink()
	if err != nil {
		return err
	}
	defer handle.Close()
	// RFC 6333 section 5.3: a packet that only its outer header makes too long
	// is not to be fragmented before the encapsulation, so the device takes
	// what the links do.
	if err := configure(handle, u.config, u.config.MTU); err != nil {
		return err
	}
	if u.sockets, err = openSockets(u.config.Ends); err != nil {
		return err
	}
	if u.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	return u.learnMTU()
}

// Use has the tunnel carry what is from and to ports, and nothing else but PCP.
func (u *User) Use(ports assign.Ports) {
	u.softwire.Store(encap.New(u.config.Ends, ports, u.config.HopLimit))
}

// learnMTU asks the kernel what the path carries.
func (u *User) learnMTU() error {
	mtu, err := u.sockets.pathMTU(u.config.Ends.BR)
	if err != nil {
		return err
	}
	mtu = max(min(mtu, u.config.MTU), MinMTU)
	if before := int(u.mtu.Swap(int32(mtu))); before != mtu && before != 0 {
		u.log.WithFields(logrus.Fields{"mtu": mtu, "before": before}).Info("path MTU to the AFTR changed")
	}
	return nil
}

// watchInterval is how often the path MTU is looked at. It grows again when the
// kernel forgets what it learned.
const watchInterval = time.Second

// Run moves packets until ctx ends, and then returns nil.
func (u *User) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return newUplink(u).run() })
	group.Go(func() error { return newDownlink(u).run() })
	group.Go(func() error { return u.listen() })
	group.Go(func() error {
		u.watch(ctx)
		// An eventfd takes the first write in any case.
		_, _ = unix.Write(u.wake, []byte{7: 1})
		return nil
	})
	return group.Wait()
}

// watch follows the path MTU until ctx ends.
func (u *User) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := u.learnMTU()
		if err != nil && !failing {
			u.log.WithError(err).Warn("the AFTR cannot be reached")
		}
		if err == nil && failing {
			u.log.Info("the AFTR can be reached again")
		}
		failing = err != nil
	}
}

// Stats reads the counters.
func (u *User) Stats() Stats { return u.stats.read() }

// Close removes the device and with it its addresses and routes. Run must have
// returned.
func (u *User) Close() error {
	u.release()
	return nil
}

func (u *User) release() {
	if u.tun != nil {
		u.tun.Close()
	}
	if u.sockets != nil {
		u.sockets.close()
	}
	if u.wake >= 0 {
		unix.Close(u.wake)
	}
}

// waitReadable blocks until fd is readable and returns true, or until the
// tunnel is to end and returns false.
func (u *User) waitReadable(fd int) (bool, error) {
	polled := [2]unix.PollFd{
		{Fd: int32(u.wake), Events: unix.POLLIN},
		{Fd: int32(fd), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(polled[:], -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, fmt.Errorf("poll: %w", err)
		case polled[0].Revents != 0:
			return false, nil
		case polled[1].Revents != 0:
			return true, nil
		}
	}
}
