package cpe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/portsets"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/settings"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/tunnel"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// device is either kind of tunnel.
type device interface {
	Run(ctx context.Context) error
	Use(ports assign.Ports)
	Stats() tunnel.Stats
	Close() error
}

var (
	_ device = (*tunnel.Kernel)(nil)
	_ device = (*tunnel.User)(nil)
)

// session is a tunnel to one lwAFTR and, if that is asked for ports, the asking.
type session struct {
	offer  provision.Offer
	device device
	keeper *portsets.Keeper // nil if the offer has its ports with it
	group  errgroup.Group

	stopDevice, stopAsking context.CancelFunc
	asking                 errgroup.Group
}

// connect makes the tunnel of an offer, and begins to ask if the offer has no ports.
func (c *cpe) connect(ctx context.Context, o provision.Offer) error {
	select {
	case <-c.unbound: // about the tunnel before
	default:
	}
	dev, err := c.open(tunnel.Config{
		Name: c.config.Tunnel.Device, Ends: o.Ends, MTU: c.config.Tunnel.MTU, HopLimit: c.config.Tunnel.HopLimit,
		DefaultRoute: c.config.Tunnel.DefaultRoute,
		Unbound: func() {
			select {
			case c.unbound <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	// It goes on when ctx ends, so that what is asked then gets an answer.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &session{offer: o, device: dev, stopDevice: stop, stopAsking: func() {}}
	c.session = s
	s.group.Go(func() error {
		if err := dev.Run(running); err != nil {
			c.tell(running, provision.Broken{Err: err})
		}
		return nil
	})
	c.log.WithFields(logrus.Fields{"device": c.config.Tunnel.Device, "ends": o.Ends.String()}).Info("tunnel is there")
	if len(o.Ports.Sets) > 0 {
		return nil
	}
	return c.askFor(running, s)
}

// askFor begins to ask for ports.
func (c *cpe) askFor(ctx context.Context, s *session) error {
	nonce, err := c.memory.Nonce(s.offer.Ends.BR)
	if err != nil {
		return err
	}
	asking, stop := context.WithCancel(ctx)
	s.stopAsking = stop
	from, to := assign.B4Address, assign.AFTRAddress
	if c.config.PCP.Transport == settings.TransportPlain {
		from, to = s.offer.Ends.B4, s.offer.Ends.BR
	}
	s.keeper = portsets.New(portsets.Config{
		Server: netip.AddrPortFrom(to, pcpmsg.ServerPort),
		Open:   func() (net.PacketConn, error) { return client.ListenFrom(ctx, from) },
		Nonce:  nonce, Lifetime: c.config.PCP.Lifetime, MaxSets: c.config.PCP.MaxSets,
		Check: c.config.PCP.Check, Patience: c.config.PCP.Patience,
		Report: func(e provision.Event) { c.tell(asking, e) },
	}, c.log.WithField("lwaftr", s.offer.Ends.BR.String()))
	s.asking.Go(func() error {
		if err := s.keeper.Run(asking); err != nil {
			c.tell(asking, provision.Broken{Err: err})
		}
		return nil
	})
	return nil
}

// tell hands an event to run's goroutine, unless what it is about has ended.
func (c *cpe) tell(ctx context.Context, e provision.Event) {
	select {
	case c.events <- e:
	case <-ctx.Done():
	}
}

// stopKeeper ends the asking.
func (s *session) stopKeeper() {
	s.stopAsking()
	_ = s.asking.Wait() // never fails
}

// disconnect ends the tunnel, if there is one, and takes it away.
func (c *cpe) disconnect() error {
	s := c.session
	if s == nil {
		return nil
	}
	c.session = nil
	s.stopKeeper()
	s.stopDevice()
	_ = s.group.Wait() // never fails
	report(c.log, s.device.Stats())
	return s.device.Close()
}

// open makes the device of the kind that is wanted.
func (c *cpe) open(t tunnel.Config) (device, error) {
	if kind := c.config.Tunnel.Kind; kind != settings.KindUser {
		dev, err := tunnel.OpenKernel(t)
		switch {
		case err == nil:
			return dev, nil
		case kind == settings.KindKernel || !errors.Is(err, tunnel.ErrNoKernelTunnel):
			return nil, fmt.Errorf("tunnel: %w", err)
		}
		c.log.WithField("reason", err.Error()).Info("the tunnel runs in user space")
	}
	dev, err := tunnel.OpenUser(t, c.log)
	if err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	return dev, nil
}

// report logs what the tunnel did, where it counts.
func report(log logrus.FieldLogger, s tunnel.Stats) {
	fields := logrus.Fields{}
	for name, n := range byName(s.Outbound) {
		fields["out-"+name] = n
	}
	for name, n := range byName(s.Inbound) {
		fields["in-"+name] = n
	}
	log.WithFields(fields).Info("softwire is down")
}
