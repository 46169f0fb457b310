package netio

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

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
	name    string
	kind    Kind
	sides   []dataplane.Side
	fds     []int
	devices []device // one per queue
	hop     *nextHop // of a packet device
	routes  [2]*routes
	mu      sync.Mutex // guards routes' content
}

// Open opens the devices of both sides in the network namespace of the calling
// thread. No packet moves before Run. What was opened is closed by Run when it
// returns, or by Close.
//
// Errors wrap ErrPermission, ErrNoInterface, ErrUnsuitable or ErrBusy where
// these are the cause.
func Open(config Config, log logrus.FieldLogger) (*Port, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	handle, err := openNetlink()
	if err != nil {
		return nil, err
	}
	p := &Port{config: config, log: log, handle: handle}
	if err := p.open(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Port) open() error {
	for side, config := range [2]DeviceConfig{dataplane.SideIPv4: p.config.IPv4, dataplane.SideIPv6: p.config.IPv6} {
		if err := p.openSide(dataplane.Side(side), config); err != nil {
			return fmt.Errorf("%s device %s: %w", dataplane.Side(side), config.Name, err)
		}
	}
	for i := range p.config.Queues {
		wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return fmt.Errorf("eventfd: %w", err)
		}
		v4, v6 := p.bySide[dataplane.SideIPv4].devices[i], p.bySide[dataplane.SideIPv6].devices[i]
		p.queues = append(p.queues, newQueue(v4, v6, wake, p.config.Batch))
	}
	return nil
}

// openSide opens the device of one side, or finds it open for the other side.
func (p *Port) openSide(side dataplane.Side, config DeviceConfig) error {
	if side == dataplane.SideIPv6 && p.config.oneDevice() {
		m := p.members[0]
		m.sides = append(m.sides, side)
		p.bySide[side] = m
		return p.setUpTUN(m, side, config)
	}
	m := &member{name: config.Name, kind: config.Kind, sides: []dataplane.Side{side}}
	p.members = append(p.members, m)
	p.bySide[side] = m
	if config.Kind == KindPacket {
		return p.openPacketSide(m, side, config)
	}
	// What leaves on the IPv6 side is IPv4 in IPv6, which can neither be joined
	// nor come joined from a TUN device.
	offload := side == dataplane.SideIPv4 && !p.config.NoOffload
	var err error
	if m.fds, err = openTUN(p.handle, config.Name, p.config.Queues, offload); err != nil {
		return err
	}
	if p.config.Queues > 1 {
		if err := steerTUN(m.fds[0]); err != nil {
			// As good for everything but fragments.
			p.log.WithError(err).WithField("device", config.Name).Warn("the kernel chooses queues by itself")
		}
	}
	udp := false
	if offload {
		if udp, err = setTUNOffload(m.fds[0]); err != nil {
			return err
		}
	}
	for _, fd := range m.fds {
		var c *coalescer
		if offload {
			c = newCoalescer(2*p.config.Batch, udp)
		}
		m.devices = append(m.devices, newTUNQueue(fd, config.Name, c))
	}
	return p.setUpTUN(m, side, config)
}

// setUpTUN does with a TUN device what one side's configuration asks.
func (p *Port) setUpTUN(m *member, side dataplane.Side, config DeviceConfig) error {
	link, err := findLink(p.handle, config.Name)
	if err != nil {
		return err
	}
	if err := bringUp(p.handle, link, config.MTU, config.Addresses); err != nil {
		return err
	}
	warnForwarding(p.log, config.Name, side)
	return p.setUpRoutes(m, side, link.Attrs().Index, config.Routes)
}

func (p *Port) setUpRoutes(m *member, side dataplane.Side, device int, want []netip.Prefix) error {
	r, err := newRoutes(p.handle, side, device)
	if err != nil {
		return err
	}
	m.routes[side] = r
	return r.set(want)
}

func (p *Port) openPacketSide(m *member, side dataplane.Side, config DeviceConfig) error {
	link, err := findLink(p.handle, config.Name)
	if err != nil {
		return err
	}
	if err := disableLRO(config.Name, p.log); err != nil {
		return err
	}
	if m.fds, err = openPacket(link, side, p.config.Queues); err != nil {
		return err
	}
	hop, err := openNeighbor(p.handle, link, side, config.NextHop, p.log)
	if err != nil {
		return err
	}
	p.hops = append(p.hops, hop)
	m.hop = &hop.hop
	udp := kernelTakesUDPSupers()
	for _, fd := range m.fds {
		var c *coalescer
		if side == dataplane.SideIPv4 && !p.config.NoOffload {
			c = newCoalescer(2*p.config.Batch, udp)
		}
		q := newPacketQueue(fd, config.Name, side, &hop.hop, p.config.Batch, c)
		q.alive = hop.present
		m.devices = append(m.devices, q)
	}
	return p.setUpRoutes(m, side, 0, config.Routes)
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
// DeviceConfig.Routes, instead of those of before. It fails where the kernel
// has another route for one of them; it may then be called again.
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
	if err := m.routes[side].set(prefixes); err != nil {
		return fmt.Errorf("%s device %s: %w", side, m.name, err)
	}
	return nil
}

// Stats reads the counters. They may be read after the port was closed.
func (p *Port) Stats() Stats {
	p.mu.RLock()
	defer p.mu.RUnlock()
	stats := Stats{Queues: len(p.queues)}
	for _, m := range p.members {
		s := DeviceStats{Name: m.name, Kind: m.kind, Sides: m.sides, Ready: true, Drops: allCauses()}
		if m.hop != nil {
			s.Ready = m.hop.destination.Load() != 0
			if address := m.hop.address.Load(); address != nil {
				s.NextHop = *address
			}
		}
		for _, d := range m.devices {
			if socket, ok := d.(*packetQueue); ok && !p.closed {
				socket.overruns()
			}
			d.count().addTo(&s)
		}
		stats.Devices = append(stats.Devices, s)
	}
	return stats
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
