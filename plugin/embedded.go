package plugin

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
)

// embedded is the forwarder on devices of the kernel.
type embedded struct {
	*forwarder.Forwarder
	ports *ports
}

var (
	_ dataplane.Dataplane = (*embedded)(nil)
	_ Opener              = (*embedded)(nil)
	_ Tuner               = (*embedded)(nil)
	_ packetTracer        = (*embedded)(nil)
	_ deviceCounter       = (*embedded)(nil)
	_ softwireCounter     = (*embedded)(nil)
)

func newEmbedded(c ForwarderConfig, log logrus.FieldLogger) (*embedded, error) {
	io, err := c.ports()
	if err != nil {
		return nil, err
	}
	p := &ports{config: io, log: log.WithField("part", "netio"), own: c.IPv4Address}
	f, err := forwarder.New(c.Config, p)
	if err != nil {
		return nil, err
	}
	p.impede = f.Impede
	return &embedded{f, p}, nil
}

// Open implements Opener.
func (e *embedded) Open(context.Context) error { return e.ports.open() }

// Close implements Opener.
func (e *embedded) Close() { e.ports.close() }

// Configure implements dataplane.Programmer. The kernel's routes to the devices
// follow the networks.
func (e *embedded) Configure(ctx context.Context, n dataplane.Network) error {
	if err := e.Forwarder.Configure(ctx, n); err != nil {
		return err
	}
	return e.ports.route(n)
}

// Tune implements Tuner.
func (e *embedded) Tune(c DataplaneConfig) error {
	before := e.ports.ownAddress()
	if err := e.ports.setOwnAddress(c.Forwarder.IPv4Address); err != nil {
		return err
	}
	if err := e.SetConfig(c.Forwarder.Config); err != nil {
		return errors.Join(err, e.ports.setOwnAddress(before))
	}
	return nil
}

// Fixed implements Tuner.
func (e *embedded) Fixed() []string {
	fixed := []string{"forwarder.io", "forwarder.exception-queue"}
	// A TUN device got its MTU when it was made.
	if e.ports.config.IPv4.Kind == netio.KindTUN {
		fixed = append(fixed, "forwarder.ipv4-mtu")
	}
	if e.ports.config.IPv6.Kind == netio.KindTUN {
		fixed = append(fixed, "forwarder.tunnel-mtu")
	}
	return fixed
}

// TracePacket implements packetTracer.
func (e *embedded) TracePacket(now time.Time, side dataplane.Side, packet []byte) api.Trace {
	return traceOf(e.Trace(now, side, packet))
}

// traceOf is a forwarder's trace as the API shows it.
func traceOf(t forwarder.Trace) api.Trace {
	out := api.Trace{Steps: t.Steps, Sent: []api.Packet{}}
	for _, o := range t.Sent {
		out.Sent = append(out.Sent, api.Packet{Side: o.Side.String(), Packet: o.Packet})
	}
	return out
}

// Devices implements deviceCounter.
func (e *embedded) Devices(context.Context) ([]api.Device, error) {
	var all []api.Device
	for _, d := range e.ports.stats().Devices {
		device := api.Device{Name: d.Name, Received: traffic(d.Received), Sent: traffic(d.Sent)}
		for _, drop := range d.Drops {
			device.Drops = append(device.Drops, api.Event{Name: drop.Cause, Drop: true, Packets: drop.Packets})
		}
		all = append(all, device)
	}
	return all, nil
}

// ports is the forwarder's IO on a netio.Port, which exists from open to close.
type ports struct {
	config netio.Config
	log    logrus.FieldLogger
	impede func(reason string) // is told of devices that cannot be sent over

	mu    sync.Mutex
	port  *netio.Port
	links *netio.Links // the same

	// routing is held while routes are changed, and guards what they are for.
	routing sync.Mutex
	own     netip.Addr // the router's IPv4 address
	network *dataplane.Network
}

var errNoPort = errors.New("the devices are not open")

func (p *ports) open() error {
	port, err := netio.Open(p.config, p.log)
	if err != nil {
		return err
	}
	if err := p.usable(port, p.ownAddress()); err != nil {
		port.Close()
		return &ConfigError{element.At("dataplane", err)}
	}
	links, err := netio.OpenLinks(p.config.IPv4.Name, p.config.IPv6.Name)
	if err != nil {
		port.Close()
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.port, p.links = port, links
	return nil
}

func (p *ports) close() {
	if port, err := p.get(); err == nil {
		port.Close()
		p.links.Close()
	}
}

func (p *ports) get() (*netio.Port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.port == nil {
		return nil, errNoPort
	}
	return p.port, nil
}

func (p *ports) stats() netio.Stats {
	port, err := p.get()
	if err != nil {
		return netio.Stats{}
	}
	return port.Stats()
}

// Run implements forwarder.IO.
func (p *ports) Run(ctx context.Context, newWorker func() *forwarder.Worker) error {
	port, err := p.get()
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return p.followLinks(inner, port) })
	group.Go(func() error {
		return port.Run(inner, func(int) netio.Processor { return processor{newWorker()} })
	})
	return group.Wait()
}

// followLinks tells of devices that cannot be sent over. When all can again, the
// kernel leads packets to them again.
func (p *ports) followLinks(ctx context.Context, port *netio.Port) error {
	impeded := false
	return p.links.Run(ctx, func(wrong string) {
		if wrong == "" && impeded {
			if err := port.RestoreRoutes(); err != nil {
				wrong = err.Error()
			}
		}
		impeded = wrong != ""
		p.impede(wrong)
	})
}

// Send implements forwarder.IO.
func (p *ports) Send(_ context.Context, side dataplane.Side, packet []byte) error {
	port, err := p.get()
	if err != nil {
		return err
	}
	return port.Send(side, packet)
}

// processor is a Worker as package netio calls it.
type processor struct{ worker *forwarder.Worker }

// Process implements netio.Processor.
func (p processor) Process(now time.Time, side dataplane.Side, in []netio.Frame, out []netio.Output) []netio.Output {
	p.worker.Begin(now)
	for _, f := range in {
		p.worker.Expect(side, f.Packet())
	}
	for _, f := range in {
		p.worker.Packet(side, f.Buf, f.Start, f.End)
	}
	for _, o := range p.worker.End() {
		out = append(out, netio.Output{Side: o.Side, Packet: o.Packet})
	}
	return out
}
