package plugin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/bgp"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// Stats is how the router is, for hosts and metrics.
type Stats struct {
	Name      string
	Started   time.Time // zero before Start and after the end
	Ready     bool
	Reconcile reconcile.Stats
	Leases    *provision.Stats // nil without a store
	History   *history.Stats   // the same
	PCP       *pcp.Counts      // nil if it is not enabled
	DHCPv6    *server.Stats    // the same
	Announce  *announce.Stats  // nil without peers
	Peers     []bgp.PeerStats
}

// Stats returns the present numbers; all but Name are zero while the router
// does not run.
func (p *Plugin) Stats() Stats {
	run, err := p.present()
	if err != nil {
		return Stats{Name: p.name}
	}
	return p.stats(run)
}

func (p *Plugin) stats(run *running) Stats {
	s := Stats{Name: p.name, Started: run.since, Reconcile: run.rec.Stats()}
	if run.leases != nil {
		leases := run.leases.Stats()
		s.Leases = &leases
		s.History = new(run.history.Stats())
	}
	if run.pcp != nil {
		counts := run.pcp.Counts()
		s.PCP = &counts
	}
	if run.dhcpv6 != nil {
		s.DHCPv6 = new(run.dhcpv6.Stats())
	}
	if run.gate != nil {
		s.Announce = new(run.gate.Stats())
		s.Peers = run.speakers.Stats()
	}
	select {
	case <-p.ready:
		s.Ready = true
	default:
	}
	return s
}

// Status is how the router is, in words too. The error wraps ErrNotRunning.
func (p *Plugin) Status(ctx context.Context) (api.Status, error) {
	run, err := p.present()
	if err != nil {
		return api.Status{}, err
	}
	return view{p, run}.Status(ctx)
}

// Pools is how much of each pool is used. The error wraps ErrNotRunning.
func (p *Plugin) Pools(ctx context.Context) ([]api.Pool, error) {
	run, err := p.present()
	if err != nil {
		return nil, err
	}
	return view{p, run}.Pools(ctx)
}

// These are implemented by data planes that can.
type (
	packetTracer interface {
		TracePacket(now time.Time, side dataplane.Side, packet []byte) api.Trace
	}
	deviceCounter interface {
		Devices(ctx context.Context) ([]api.Device, error)
	}
	// inspector says how VPP is, and what is wrong with it in words.
	inspector interface {
		Inspect(ctx context.Context) (*api.VPP, []string, error)
	}
	// softwireCounter reads counters without a walk over all softwires.
	softwireCounter interface {
		EachSoftwire(ctx context.Context, keys []softwire.Key, visit func(i int, c dataplane.SoftwireCounters)) error
	}
)

// view is what the control API shows of a running Plugin.
type view struct {
	p   *Plugin
	run *running
}

func (p *Plugin) view(run *running) control.Router {
	v := view{p, run}
	router := control.Router{Status: v, Table: run.table, Counters: v, Problems: v, Tracer: v, Reloader: v, Resyncer: run.rec, History: v, Metrics: run.scrapes, Log: p}
	if run.leases != nil {
		router.Lending = &control.Lending{Leases: run.leases, Pools: p, Backup: run.store}
	}
	if run.pcp != nil {
		router.PCP = p
	}
	if run.gate != nil {
		router.Announcing = announcing{run.gate, run.speakers}
	}
	return router
}

// View implements control.History.
func (v view) View(ctx context.Context) (*history.View, error) {
	if v.run.history == nil {
		return nil, control.ErrNoHistory
	}
	if err := v.run.catchUp(ctx); err != nil {
		return nil, err
	}
	return v.run.history.View(), nil
}

// Status implements control.Statuser.
func (v view) Status(ctx context.Context) (api.Status, error) {
	s := v.p.stats(v.run)
	r := s.Reconcile
	// The reason may have changed since the state did.
	if now, err := v.p.dp.WaitHealth(ctx, dataplane.Health{}); err == nil && now.Same(r.Health) {
		r.Health = now
	}
	status := api.Status{
		Name: s.Name, Version: v.p.version, Started: s.Started, Ready: s.Ready,
		Dataplane: api.Dataplane{
			Name: r.Dataplane, State: r.Health.State.String(),
			Incarnation: r.Health.Incarnation, Reason: r.Health.Reason,
		},
		Softwires: api.Progress{
			Desired: r.Desired, Programmed: r.Programmed, Pending: r.Pending, Unsupported: r.Refused,
		},
	}
	if !r.LastSync.IsZero() {
		status.Softwires.LastSync = &r.LastSync
	}
	if r.Health.State != dataplane.StateUp {
		status.Problems = append(status.Problems, fmt.Sprintf("the data plane is %s: %s", r.Health.State, r.Health.Reason))
	}
	// Without an incarnation there is nothing to ask.
	if i, ok := v.p.dp.(inspector); ok && r.Health.Incarnation != 0 {
		vpp, problems, err := i.Inspect(ctx)
		if err != nil {
			problems = []string{fmt.Sprintf("the data plane does not say how it is: %v", err)}
		}
		status.Dataplane.VPP = vpp
		status.Problems = append(status.Problems, problems...)
	}
	if s.Leases != nil {
		status.Problems = append(status.Problems, s.Leases.Problems()...)
		status.Problems = append(status.Problems, historyProblems(s.History, s.Leases.Store.Outbox)...)
	}
	status.Problems = append(status.Problems, announceProblems(s.Announce, s.Peers)...)
	if r.NetworkError != nil {
		status.Problems = append(status.Problems, fmt.Sprintf("the networks are not configured: %v", r.NetworkError))
	}
	for _, p := range r.Problems {
		status.Problems = append(status.Problems, fmt.Sprintf("%s of softwire %s: %s", p.Op.Kind, p.Op.Softwire.Key(), reasonOf(p)))
	}
	return status, nil
}

// Pools implements control.Statuser.
func (v view) Pools(context.Context) ([]api.Pool, error) {
	c, added := v.p.wanted()
	pools := c.with(added).Pools
	lent, stats := v.lent(), v.run.rec.Stats()
	all := make([]api.Pool, 0, len(pools))
	for _, p := range pools {
		used, _ := stats.Sum(p.Prefixes) // as far as they are counted
		a := api.Pool{
			Name: p.Name, Prefixes: p.Prefixes, PSIDOffset: p.PSIDOffset, PSIDLen: p.PSIDLen, BR: p.BR,
			Capacity: capacity(p), Softwires: used.Desired, Leases: lent[p.Name],
		}
		if a.Leases != nil {
			for _, m := range p.Mechanisms {
				a.Leases.Mechanisms = append(a.Leases.Mechanisms, string(m))
			}
		}
		all = append(all, a)
	}
	return all, nil
}

// lent is how much of each pool is lent, by name.
func (v view) lent() map[string]*api.PoolLeases {
	if v.run.leases == nil {
		return nil
	}
	all := make(map[string]*api.PoolLeases)
	for _, s := range v.run.leases.Stats().Pools {
		all[s.Pool] = &api.PoolLeases{
			Draining: s.Draining, Lendable: s.Lendable, Fresh: s.Fresh,
			Bound: s.Bound, Leaving: s.Leaving, Resting: s.Resting, Reserved: s.Reserved,
		}
	}
	return all
}

func traffic(t dataplane.Traffic) api.Traffic { return api.Traffic{Packets: t.Packets, Bytes: t.Bytes} }

// Counters implements control.Counters.
func (v view) Counters(ctx context.Context) (api.Counters, error) {
	c, err := v.p.dp.Counters(ctx)
	if err != nil {
		return api.Counters{}, fmt.Errorf("data plane %s: %w", v.p.dp.Name(), err)
	}
	all := api.Counters{
		Granularity:  c.Granularity.String(),
		Encapsulated: traffic(c.Encapsulated),
		Decapsulated: traffic(c.Decapsulated),
		Hairpinned:   traffic(c.Hairpinned),
		Events:       []api.Event{},
	}
	for _, e := range c.Events {
		all.Events = append(all.Events, api.Event{Name: e.Name, Meaning: e.Meaning, Drop: e.Drop, Packets: e.Packets})
	}
	if v.run.pcp != nil {
		all.Events = append(all.Events, pcpEvents(v.run.pcp.Counts())...)
	}
	if v.run.dhcpv6 != nil {
		all.Events = append(all.Events, dhcpv6Events(v.run.dhcpv6.Stats())...)
	}
	if d, ok := v.p.dp.(deviceCounter); ok {
		if all.Devices, err = d.Devices(ctx); err != nil {
			return api.Counters{}, fmt.Errorf("data plane %s: %w", v.p.dp.Name(), err)
		}
	}
	return all, nil
}

// EachSoftwire implements control.Counters.
func (v view) EachSoftwire(ctx context.Context, keys []softwire.Key, visit func(int, dataplane.SoftwireCounters)) error {
	if some, ok := v.p.dp.(softwireCounter); ok {
		if err := some.EachSoftwire(ctx, keys, visit); err != nil {
			return fmt.Errorf("data plane %s: %w", v.p.dp.Name(), err)
		}
		return nil
	}
	left := len(keys)
	at := make(map[softwire.Key][]int, len(keys))
	for i, key := range keys {
		at[key] = append(at[key], i)
		if address := (softwire.Key{IPv4: key.IPv4}); key != address {
			at[address] = append(at[address], i)
		}
	}
	for c, err := range v.p.dp.SoftwireCounters(ctx) {
		if err != nil {
			return fmt.Errorf("data plane %s: %w", v.p.dp.Name(), err)
		}
		for _, i := range at[c.Key] {
			visit(i, c)
			left--
		}
		if left == 0 {
			break
		}
	}
	return nil
}

// Problem implements control.Problems.
func (v view) Problem(key softwire.Key) string {
	if p, ok := v.run.rec.Problem(key); ok {
		return reasonOf(p)
	}
	return ""
}

// reasonOf is p's reason without the key, which data planes may begin it with.
func reasonOf(p reconcile.Problem) string {
	return strings.TrimPrefix(p.Reason.Error(), p.Op.Softwire.Key().String()+": ")
}

// Trace implements control.Tracer.
func (v view) Trace(_ context.Context, side dataplane.Side, packet []byte) (api.Trace, error) {
	t, ok := v.p.dp.(packetTracer)
	if !ok {
		return api.Trace{}, fmt.Errorf("trace: %w", control.ErrUnsupported)
	}
	return t.TracePacket(v.p.now(), side, packet), nil
}

// Reload implements control.Reloader.
func (v view) Reload(ctx context.Context) (api.ReloadResult, error) {
	c, err := v.p.ReloadFile(ctx)
	if err != nil {
		return api.ReloadResult{}, err
	}
	return api.ReloadResult{Put: c.Put, Removed: c.Removed, Settings: c.Settings}, nil
}
