package netio

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Port is the way in and out of the kernel for one lwAFTR.
type Port struct {
	config Config
	log    logrus.FieldLogger

	handle  *netlink.Handle
	members []*member   // one per device
	bySide  [2]*member  // the same one twice if it serves both sides
	hops    []*neighbor // of packet devices
	queues  []*queue

	// mu is held for reading while a descriptor is in use outside the queues,
	// and for writing to close.
	mu     sync.RWMutex
	closed bool
}

// member is a network device of a port.
type member struct {
	name     string
	kind     Kind
	sides    []dataplane.Side
	fds      []int
	devices  []device      // one per queue
	hop      *nextHop      // of a packet device
	index    int           // of the interface of a TUN device
	dropped  uint64        // by the kernel for want of room, before we opened it
	overruns atomic.Uint64 // as last seen
	routes   [2]*routes
	mu       sync.Mutex // guards routes' content
	// wanted are the routes once more, for the queues of a packet device.
	wanted atomic.Pointer[destinations]
}

// Run moves packets until ctx ends, and then returns nil. It asks newProcessor
// for one Processor per queue, numbered from zero, before any packet moves. It
// closes the port when it returns, and may be called once.
//
// An error wraps ErrGone where a device went away.
func (p *Port) Run(ctx context.Context, newProcessor func(queue int) Processor) error {
	defer p.Close()
	if p.isClosed() {
		return ErrClosed
	}
	processors := make([]Processor, len(p.queues))
	for i := range processors {
		processors[i] = newProcessor(i)
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, q := range p.queues {
		group.Go(func() error { return q.run(processors[i]) })
	}
	for _, hop := range p.hops {
		group.Go(func() error { return hop.run(ctx) })
	}
	group.Go(func() error {
		<-ctx.Done()
		for _, q := range p.queues {
			// An eventfd takes the first write in any case.
			_ = write(q.wake, []byte{7: 1})
		}
		return nil
	})
	return group.Wait()
}

func (p *Port) isClosed() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.closed
}

// Send sends one whole packet out of one side. It may be called from any
// goroutine while the port is open, and does not wait. The caller keeps packet.
//
// Errors wrap ErrPacket, ErrDropped, ErrClosed or ErrGone.
func (p *Port) Send(side dataplane.Side, packet []byte) error {
	if !wholePacket(side, packet) {
		return fmt.Errorf("send to %s: %w", side, ErrPacket)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	return p.bySide[side].devices[0].inject(packet)
}

// wholePacket reports whether packet can be sent out of side as it is.
func wholePacket(side dataplane.Side, packet []byte) bool {
	switch side {
	case dataplane.SideIPv4:
		return len(packet) >= ipv4HeaderLen && len(packet) <= maxSuper && packet[0]>>4 == 4
	case dataplane.SideIPv6:
		return len(packet) >= ipv6HeaderLen && len(packet) <= MaxPacket && packet[0]>>4 == 6
	}
	return false
}

// SetRoutes makes prefixes the ones whose packets are taken from side, as
// DeviceConfig.Routes, instead of those of before. The error wraps
// ErrRouteTaken where the kernel has another route for one of them; it may then
// be called again.
func (p *Port) SetRoutes(side dataplane.Side, prefixes []netip.Prefix) error {
	if err := errors.Join(validateRoutes(side, prefixes)...); err != nil {
		return err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	m := p.bySide[side]
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.setRoutes(side, prefixes); err != nil {
		return fmt.Errorf("%s device %s: %w", side, m.name, err)
	}
	return nil
}

// RestoreRoutes brings back what the kernel dropped of the routes while a device
// was switched off.
func (p *Port) RestoreRoutes() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	var errs []error
	for _, m := range p.members {
		m.mu.Lock()
		for _, r := range m.routes {
			if r != nil {
				errs = append(errs, r.restore())
			}
		}
		m.mu.Unlock()
	}
	return errors.Join(errs...)
}

// Host says which interface of the host has the address a, whose packets the
// kernel keeps, whatever the routes. It is empty if there is none.
func (p *Port) Host(a netip.Addr) (string, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return "", ErrClosed
	}
	return interfaceWith(p.handle, a)
}

// setRoutes has the kernel lead prefixes of one side here, and takes them.
func (m *member) setRoutes(side dataplane.Side, prefixes []netip.Prefix) error {
	r := m.routes[side]
	err := r.set(prefixes)
	// After an error too: the kernel is kept from what is in place.
	wanted := newDestinations(r.have)
	m.wanted.Store(&wanted)
	return err
}

// Close closes the port. A port that runs is closed by the end of Run's context
// instead. Our routes go with it; a TUN device that was there before, and its
// addresses, stay.
func (p *Port) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for _, m := range p.members {
		p.tunOverruns(m) // for the last time
	}
	p.closed = true
	var fds []int
	for _, m := range p.members {
		for _, r := range m.routes {
			if r == nil {
				continue
			}
			if err := r.set(nil); err != nil {
				p.log.WithError(err).WithField("device", m.name).Debug("route stays behind")
			}
		}
		fds = append(fds, m.fds...)
	}
	for _, hop := range p.hops {
		hop.close()
	}
	for _, q := range p.queues {
		fds = append(fds, q.wake)
	}
	closeAll(fds)
	p.handle.Close()
}
