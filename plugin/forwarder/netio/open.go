package netio

import (
	"fmt"
	"net/netip"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Open opens the devices of both sides in the network namespace of the calling
// thread. No packet moves before Run. What was opened is closed by Run when it
// returns, or by Close.
//
// Errors wrap ErrPermission, ErrNoAccess, ErrNoInterface, ErrUnsuitable or ErrBusy
// where these are the cause.
func Open(config Config, log logrus.FieldLogger) (*Port, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	handle, err := OpenNetlink()
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
	m.index, m.dropped = link.Attrs().Index, droppedBy(link)
	warnForwarding(p.log, config.Name, side)
	return p.setUpRoutes(m, side, link.Attrs().Index, config.Routes)
}

func (p *Port) setUpRoutes(m *member, side dataplane.Side, device int, want []netip.Prefix) error {
	r, err := newRoutes(p.handle, side, device)
	if err != nil {
		return err
	}
	m.routes[side] = r
	return m.setRoutes(side, want)
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
		q := newPacketQueue(fd, config.Name, side, &hop.hop, &m.wanted, p.config.Batch, c)
		q.alive = hop.present
		m.devices = append(m.devices, q)
	}
	return p.setUpRoutes(m, side, 0, config.Routes)
}
