package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// pcp measures lwaftr answering PCP: renewals, and port sets that become durable
// and programmed in the data plane in user space. The peer is miniupnpd, which
// makes rules of nftables for single ports, and keeps nothing.
func (s scale) pcp(ctx context.Context) ([]spec, func() error, error) {
	lwaftr := scene.In(s.binaries).Lwaftr
	if err := errors.Join(netlab.Available(), built(lwaftr), netlab.Installed(miniupnpd, miniupnpdPackage)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	folder, err := os.MkdirTemp(s.binaries, "pcp-")
	if err != nil {
		return nil, nil, err
	}
	lab := netlab.New()
	var echo, peer, own pcpRig
	closeAll := func() error {
		return errors.Join(echo.close(), peer.close(), own.close(), lab.Close(), os.RemoveAll(folder))
	}
	limit, theirs, ours := &pcpLoad{rig: &echo, scale: s}, &pcpLoad{rig: &peer, scale: s}, &pcpLoad{rig: &own, scale: s}
	if err := errors.Join(
		limit.open(lab, lwb4sim.Population{Count: s.pcpClients, Ports: pcpmsg.AllPorts}, echo.startEcho),
		theirs.open(lab, lwb4sim.Population{Count: s.pcpPeers, Protocol: protoTCP},
			func() error { return peer.startMiniupnpd(ctx, lab, folder) }),
		ours.open(lab, lwb4sim.Population{Count: s.pcpClients, Ports: pcpmsg.AllPorts},
			func() error { return own.startLwaftr(ctx, lwaftr, folder) }),
	); err != nil {
		return nil, closeAll, err
	}
	perSecond := func(f lwb4sim.Figures) float64 { return f.PerSecond() }
	p99 := func(f lwb4sim.Figures) float64 { return f.P99.Seconds() * 1000 }
	once := func(sp spec) spec { sp.once = true; return sp }
	return []spec{
		{name: "pcp-generator", unit: "requests/s", ours: limit.renewals(perSecond)},
		once(spec{name: "pcp-new", unit: "bindings/s", ours: ours.bindings(perSecond), peer: miniupnpd, theirs: theirs.bindings(perSecond)}),
		once(spec{name: "pcp-new-p99", unit: "ms", ours: ours.bindings(p99), peer: miniupnpd, theirs: theirs.bindings(p99)}),
		{name: "pcp-renewed", unit: "renewals/s", ours: ours.renewals(perSecond), peer: miniupnpd, theirs: theirs.renewals(perSecond)},
		{name: "pcp-renewed-p99", unit: "ms", ours: ours.renewals(p99), peer: miniupnpd, theirs: theirs.renewals(p99)},
		once(spec{name: "pcp-memory", unit: "bytes/client", ours: ours.memory}),
		once(spec{name: "pcp-storm", unit: "s", ours: ours.storm}),
	}, closeAll, nil
}

// pcpLoad is clients of one server.
type pcpLoad struct {
	rig    *pcpRig
	scale  scale
	loader *lwb4sim.Loader
	empty  float64 // octets that the server needed before anybody asked
	first  *lwb4sim.Figures
}

// How many wait at the same time, and how long a client waits until it asks again
// (RFC 6887 section 8.1.1).
const (
	pcpWindow  = 512
	pcpTimeout = 3 * time.Second
)

// open makes the network, starts the server, and then makes the clients.
func (l *pcpLoad) open(lab *netlab.Lab, p lwb4sim.Population, start func() error) error {
	if err := l.rig.open(lab, p); err != nil {
		return err
	}
	if err := start(); err != nil {
		return err
	}
	var err error
	l.empty, err = l.rig.resident()
	if err != nil {
		return err
	}
	l.loader, err = lwb4sim.NewLoader(l.rig.socket, lwb4sim.LoadConfig{
		Population: l.rig.population, Window: min(pcpWindow, p.Count), Timeout: pcpTimeout,
	})
	return err
}

// begun has each client ask for the first time, once.
func (l *pcpLoad) begun(ctx context.Context) (lwb4sim.Figures, error) {
	if l.first == nil {
		f, err := l.loader.Each(ctx)
		if err := refused(f, err); err != nil {
			return f, err
		}
		l.first = &f
	}
	return *l.first, nil
}

// refused is err, or that not all was granted.
func refused(f lwb4sim.Figures, err error) error {
	if err == nil && len(f.Refused) > 0 {
		err = fmt.Errorf("%d were granted, refused were %v", f.Granted, f.Refused)
	}
	return err
}

// bindings measures something of how clients get what they did not have.
func (l *pcpLoad) bindings(get func(lwb4sim.Figures) float64) measure {
	return func(ctx context.Context) (float64, error) {
		f, err := l.begun(ctx)
		return get(f), err
	}
}

// renewals measures something of how clients renew.
func (l *pcpLoad) renewals(get func(lwb4sim.Figures) float64) measure {
	return func(ctx context.Context) (float64, error) {
		if _, err := l.begun(ctx); err != nil {
			return 0, err
		}
		f, err := l.loader.For(ctx, l.scale.rateTime)
		return get(f), refused(f, err)
	}
}

// memory measures what the server needs for each client.
func (l *pcpLoad) memory(ctx context.Context) (float64, error) {
	if _, err := l.begun(ctx); err != nil {
		return 0, err
	}
	full, err := l.rig.resident()
	return (full - l.empty) / float64(l.rig.population.Count), err
}

// stormTime is how long clients that learn of lost mappings wait at most before
// they ask again (RFC 6887 section 14.1.3).
const stormTime = 5 * time.Second

// storm measures the seconds until all clients have a port set again, after the
// server lost everything and told them so.
func (l *pcpLoad) storm(ctx context.Context) (float64, error) {
	if _, err := l.begun(ctx); err != nil {
		return 0, err
	}
	if err := l.rig.lose(ctx); err != nil {
		return 0, err
	}
	f, err := l.loader.Within(ctx, stormTime)
	l.scale.say("pcp-storm: %d clients, %d times nobody answered in time; half waited %s, nearly all %s",
		f.Granted, f.Repeated, f.P50, f.P99)
	return f.Elapsed.Seconds(), refused(f, err)
}
