package plugin

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
)

// route leads pools, the router's own IPv4 address and BR addresses to the
// devices.
func (p *ports) route(n dataplane.Network) error {
	p.routing.Lock()
	defer p.routing.Unlock()
	p.network = &n
	return p.setRoutes()
}

func (p *ports) ownAddress() netip.Addr {
	p.routing.Lock()
	defer p.routing.Unlock()
	return p.own
}

// setOwnAddress changes the router's IPv4 address, and after an error nothing.
func (p *ports) setOwnAddress(a netip.Addr) error {
	p.routing.Lock()
	defer p.routing.Unlock()
	before := p.own
	port, err := p.get()
	if a == before || err != nil {
		p.own = a
		return nil // there is nothing to lead, or nowhere yet
	}
	if err := p.usable(port, a); err != nil {
		return err
	}
	p.own = a
	if p.network == nil {
		return nil
	}
	if err := p.setRoutes(); err != nil {
		p.own = before
		return errors.Join(err, p.setRoutes())
	}
	return nil
}

// usable refuses an address of the host as the router's own where the router
// could not send from it: the kernel drops what comes out of a TUN device with a
// source of its own. The error has its element below that of the data plane.
func (p *ports) usable(port *netio.Port, own netip.Addr) error {
	if p.config.IPv4.Kind != netio.KindTUN {
		return nil
	}
	name, err := port.Host(own)
	if err != nil {
		return err
	}
	if name != "" {
		return element.Errorf("forwarder.ipv4-address",
			"%s is an address of the host (%s), which drops what a tun device sends from it: use one that no interface has", own, name)
	}
	return nil
}

// setRoutes makes the routes what they should be. The caller holds routing.
func (p *ports) setRoutes() error {
	port, err := p.get()
	if err != nil {
		return err
	}
	if err := p.setRoutes4(port); err != nil {
		return fmt.Errorf("routes to pools: %w", err)
	}
	brs := make([]netip.Prefix, len(p.network.BRs))
	for i, br := range p.network.BRs {
		brs[i] = netip.PrefixFrom(br, br.BitLen())
	}
	if err := port.SetRoutes(dataplane.SideIPv6, brs); err != nil {
		return fmt.Errorf("routes to BR addresses: %w", err)
	}
	return nil
}

// setRoutes4 is setRoutes for the IPv4 side. The pools do not depend on the
// router's own address: without that one only pings of it go unanswered.
func (p *ports) setRoutes4(port *netio.Port) error {
	name, err := port.Host(p.own)
	if err != nil {
		return err
	}
	log := p.log.WithField("ipv4-address", p.own)
	if name != "" {
		log.WithField("interface", name).Warn("the router's own address is one of the host too, which answers for it on the IPv4 side")
		return port.SetRoutes(dataplane.SideIPv4, p.network.Pools)
	}
	with := append(slices.Clone(p.network.Pools), netip.PrefixFrom(p.own, p.own.BitLen()))
	err = port.SetRoutes(dataplane.SideIPv4, with)
	if !errors.Is(err, netio.ErrRouteTaken) {
		return err
	}
	if err := port.SetRoutes(dataplane.SideIPv4, p.network.Pools); err != nil {
		return err
	}
	log.WithError(err).Warn("the router's own address is not routed to it")
	return nil
}
