// Package cpe owns a whole CPE: it puts provisioning, translation, tunnel and
// forwarding together, follows every change of what the carrier assigns, and takes
// all of it away again.
package cpe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/memory"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/portsets"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/settings"
)

// cpe is a CPE while it runs. One goroutine has all of it, that of Run: what others
// find out comes to it by channels.
type cpe struct {
	config  settings.Config
	log     logrus.FieldLogger
	memory  *memory.Memory
	machine provision.Machine
	events  chan provision.Event
	unbound chan struct{}
	fatal   chan error // what nothing here can mend; has room for one of each server

	carrier  *carrierClient // nil without DHCPv6
	lan      *lan           // nil without PCP for the LAN
	reporter *reporter      // nil without a status socket
	session  *session       // nil without a tunnel
	ports    assign.Ports
	// flows are the ports that flows of the kernel may still be on.
	flows assign.Ports
	gauge portsets.Gauge
}

// Run is the CPE until ctx ends; then it takes away what it made and returns nil. It
// works in the network namespace of the calling thread, and refuses with ErrRunning
// to be the second one there. With a static softwire that cannot be made it fails;
// with others it tries again.
func Run(ctx context.Context, c settings.Config, log logrus.FieldLogger) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if _, err := net.InterfaceByName(c.LAN.Interface); err != nil {
		return fmt.Errorf("LAN interface %s: %w", c.LAN.Interface, err)
	}
	state, err := memory.Open(c.State)
	if err != nil {
		return err
	}
	cpe := newCPE(c, log, state)
	var undo undoing
	err = cpe.setUp(&undo)
	if err == nil {
		err = errors.Join(cpe.openCarrier(ctx), cpe.openLAN(), cpe.openStatus())
	}
	if err == nil {
		err = cpe.run(ctx)
	}
	cpe.closeStatus()
	cpe.closeLAN()
	return errors.Join(err, cpe.disconnect(), cpe.closeCarrier(), undo.all())
}

func newCPE(c settings.Config, log logrus.FieldLogger, state *memory.Memory) *cpe {
	return &cpe{
		config: c, log: log, memory: state,
		machine: provision.New(c.Rules()),
		events:  make(chan provision.Event), unbound: make(chan struct{}, 1), fatal: make(chan error, 2),
		gauge: portsets.Gauge{MoreAt: float64(c.PCP.MoreAt) / 100, Idle: c.PCP.IdleAfter},
	}
}

// setUp makes what is there with and without a softwire, and notes how to take it
// away. Nothing is touched that may be another CPE's; the rules come before the
// device that they guard, and forwarding comes last.
func (c *cpe) setUp(undo *undoing) error {
	release, err := claim()
	if err != nil {
		return err
	}
	undo.add(release)
	if err := nat.Remove(); err != nil {
		return err
	}
	if err := nat.Install(c.config.NAT(assign.Ports{})); err != nil {
		return err
	}
	undo.add(nat.Remove)
	return undo.forward()
}

// look is how often the use of ports is looked at.
const look = 2 * time.Second

// run does what comes until ctx ends.
func (c *cpe) run(ctx context.Context) error {
	if err := c.step(ctx, provision.Offered{Offers: c.config.Offers()}); err != nil {
		return err
	}
	c.startCarrier(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	looking := time.NewTicker(look)
	defer looking.Stop()
	for {
		timer.Reset(c.untilNext())
		var event provision.Event
		select {
		case <-ctx.Done():
			c.release(ctx)
			return nil
		case err := <-c.fatal:
			return err
		case event = <-c.events:
		case <-c.unbound:
			event = provision.Unbound{}
		case r := <-c.lan.requests():
			c.serve(r)
			continue
		case answer := <-c.reporter.asked():
			answer <- c.status()
			continue
		case <-timer.C:
			c.lanTick()
			event = provision.Tick{}
		case <-looking.C:
			c.look()
			continue
		}
		if err := c.step(ctx, event); err != nil {
			return err
		}
	}
}

func (c *cpe) untilNext() time.Duration {
	next := c.machine.Next()
	if lan := c.lan.next(); next.IsZero() || !lan.IsZero() && lan.Before(next) {
		next = lan
	}
	if next.IsZero() {
		return time.Hour
	}
	return time.Until(next)
}

// step steps the machine and does what it asks for. An error is one that trying
// again does not help against.
func (c *cpe) step(ctx context.Context, event provision.Event) error {
	for event != nil {
		var a provision.Action
		c.machine, a = c.machine.Step(time.Now(), event)
		event = nil
		if a.Note != "" {
			c.log.WithField("state", c.machine.Status().Phase.String()).Warn(a.Note)
		}
		if err := c.act(ctx, a); err != nil {
			if c.config.Source == settings.SourceStatic {
				return err
			}
			event = provision.Broken{Err: err}
		}
	}
	if c.lan != nil {
		c.lan.table.Extend(c.machine.Status().Until)
	}
	return nil
}

// act does what the machine asks for. What is no longer to be used is out of use
// before anything else changes.
func (c *cpe) act(ctx context.Context, a provision.Action) error {
	if a.Use != nil && (a.Disconnect || len(a.Use.Sets) == 0) {
		if err := c.use(assign.Ports{}); err != nil {
			return err
		}
	}
	if a.Disconnect {
		if err := c.disconnect(); err != nil {
			return err
		}
	}
	if a.Connect != nil {
		if err := c.connect(ctx, *a.Connect); err != nil {
			return err
		}
	}
	if a.Use != nil && len(a.Use.Sets) > 0 {
		if err := c.use(*a.Use); err != nil {
			return err
		}
	}
	if a.Ask && c.session != nil && c.session.keeper != nil {
		c.session.keeper.Ask()
	}
	if a.Renew && c.carrier != nil {
		c.carrier.client.Renew()
	}
	return nil
}

// use has everything use ports, and nothing others: first the rules, then the
// tunnel, and then flows that have lost their port are ended.
func (c *cpe) use(ports assign.Ports) error {
	c.ports = ports
	c.moveLAN()
	if err := c.install(); err != nil {
		return err
	}
	if c.session != nil {
		c.session.device.Use(ports)
	}
	if len(ports.Sets) == 0 {
		c.log.Info("no ports are in use")
		return nil
	}
	ended := 0
	if !c.flows.Equal(ports) && c.flows.IPv4.IsValid() {
		var err error
		if ended, err = nat.Forget(c.flows.IPv4, ports); err != nil {
			return err
		}
	}
	c.flows = ports
	c.log.WithFields(logrus.Fields{
		"softwire": fmt.Sprintf("%s lwB4 %s BR %s", ports, c.session.offer.Ends.B4, c.session.offer.Ends.BR),
		"ports":    ports.Count(), "device": c.config.Tunnel.Device, "flows-ended": ended,
	}).Info("softwire is up")
	if c.lan != nil && len(c.lan.again) == len(updatePauses) {
		c.tellLAN()
	}
	c.look()
	return nil
}

// install puts the rules for the ports that are in use into the kernel.
func (c *cpe) install() error {
	config := c.config.NAT(c.ports)
	config.Closed = c.gauge.Closed()
	if len(c.ports.Sets) > 0 {
		config.Mappings = c.lan.mappings()
	}
	return nat.Install(config)
}

// look asks for more ports, or gives some back.
func (c *cpe) look() {
	if c.session == nil || c.session.keeper == nil || len(c.ports.Sets) == 0 {
		return
	}
	usage, err := nat.Use(c.ports)
	if err != nil {
		c.log.WithError(err).Warn("the use of ports is not known")
		return
	}
	counts, err := nat.Read()
	if err != nil {
		c.log.WithError(err).Warn("the use of ports is not known")
		return
	}
	a := c.gauge.Observe(time.Now(), portsets.Reading{Ports: c.ports, Used: usage.Ports, Exhausted: counts.Exhausted})
	switch {
	case a.More:
		c.session.keeper.More()
	case a.GiveBack != nil:
		c.session.keeper.Fewer(*a.GiveBack)
	}
	if a.Changed {
		if err := c.install(); err != nil {
			c.log.WithError(err).Warn("the rules stay as they were")
		}
	}
}

// release gives the port sets back, if that is wanted.
func (c *cpe) release(ctx context.Context) {
	if c.session == nil || c.session.keeper == nil || !c.config.PCP.Release {
		return
	}
	c.session.stopKeeper()
	if err := c.session.keeper.Release(context.WithoutCancel(ctx)); err != nil {
		c.log.WithError(err).Info("the port sets last until they expire")
	}
}
