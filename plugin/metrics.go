package plugin

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/metrics"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// Metrics returns a Prometheus collector of this router, for a registry of the
// host. It may be used before Start and after Stop, too.
func (p *Plugin) Metrics() *metrics.Collector { return metrics.NewCollector(p.name, p.read) }

// read is what metrics show now.
func (p *Plugin) read(ctx context.Context) metrics.Reading {
	r := metrics.Reading{Version: p.version}
	run, err := p.present()
	if err != nil {
		return r
	}
	s := p.stats(run)
	r.Started, r.Ready = s.Started, s.Ready
	r.Softwires, r.Leases, r.History, r.Announce = s.Reconcile, s.Leases, s.History, s.Announce
	for _, one := range p.pools() {
		use, _ := s.Reconcile.Sum(one.Prefixes) // as far as they are counted
		r.Pools = append(r.Pools, metrics.Pool{
			Name: one.Name, Capacity: capacity(one), Desired: use.Desired, Programmed: use.Programmed,
		})
	}
	if s.PCP != nil {
		r.PCP = &metrics.PCP{Answered: make(map[string]uint64), Dropped: s.PCP.Dropped, Unsent: s.PCP.Unsent}
		for result, n := range s.PCP.Answered {
			r.PCP.Answered[result.String()] = n
		}
	}
	if s.DHCPv6 != nil {
		r.DHCPv6 = dhcpv6Reading(*s.DHCPv6)
	}
	for _, peer := range s.Peers {
		r.Peers = append(r.Peers, metrics.Peer{
			Name: peer.Name, Established: peer.Established(), Sessions: peer.Sessions, Flaps: peer.Flaps, Starts: peer.Starts,
			Announced: len(peer.Announced), Withheld: len(peer.Withheld),
		})
	}
	if c, err := p.dp.Counters(ctx); err == nil {
		r.Traffic = &c
	}
	if d, ok := p.dp.(deviceCounter); ok {
		// Without an answer they are missing, as the counters are.
		all, _ := d.Devices(ctx)
		for _, one := range all {
			r.Devices = append(r.Devices, deviceReading(one))
		}
	}
	return r
}

func dhcpv6Reading(s server.Stats) *metrics.DHCPv6 {
	d := s.Delegations
	m := &metrics.DHCPv6{Granted: d.Granted, Extended: d.Extended, Released: d.Released, Expired: d.Expired, Owing: d.Owing}
	for _, c := range s.Counts {
		m.Events = append(m.Events, dataplane.Event{Name: c.Name, Packets: c.Count})
	}
	for _, p := range d.Pools {
		m.Pools = append(m.Pools, metrics.PrefixPool{Name: p.Pool, Size: p.Size, Bound: p.Bound, Fresh: p.Remaining})
	}
	return m
}

func deviceReading(d api.Device) metrics.Device {
	m := metrics.Device{Name: d.Name, Received: dataplane.Traffic(d.Received), Sent: dataplane.Traffic(d.Sent)}
	for _, e := range d.Drops {
		m.Drops = append(m.Drops, dataplane.Event{Name: e.Name, Packets: e.Packets})
	}
	return m
}

// capacity is how many port sets a pool has.
func capacity(p pool.Pool) (n uint64) {
	for _, prefix := range p.Prefixes {
		n += 1 << (32 - prefix.Bits() + int(p.PSIDLen))
	}
	return n
}

// metricsPath is where metrics.listen serves.
const metricsPath = "/metrics"

// startMetrics makes what answers scrapes, and has r serve it besides if the
// configuration says where.
func (p *Plugin) startMetrics(ctx context.Context, r *runner, run *running) (err error) {
	if run.scrapes, err = metrics.Handler(p.Metrics()); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	at := p.config.Metrics.Listen
	if !at.IsValid() {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", at.String())
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, run.scrapes)
	log := p.log.WithField("part", "metrics")
	r.run(ctx, "metrics", func(ctx context.Context) error { return control.Serve(ctx, mux, log, l) })
	return nil
}
