package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"go.fd.io/govpp/api"
	mapapi "go.fd.io/govpp/binapi/map"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/binapi/vpe"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
)

// messages are what VPP must know.
func messages() []api.Message {
	return append(slices.Concat(topology.Messages(), ports.Messages()),
		&mapapi.MapDomainsGet{}, &mapapi.MapRuleDump{}, &memclnt.ControlPing{}, &vpe.ShowVersion{})
}

// Apply is as in dataplane.Programmer.
func (d *Driver) Apply(ctx context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	s, done, err := d.program(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := s.limit(ctx)
	defer cancel()
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return s.apply(ctx, ops)
}

// limit bounds a call by the configured time, and ends it with the session.
func (s *session) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.driver.config.CallTimeout)
}

// refresh reads VPP if it may have been left otherwise than the model says.
func (s *session) refresh(ctx context.Context) error {
	if !s.stale {
		return nil
	}
	return s.read(ctx)
}

func (s *session) apply(ctx context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	results, possible := s.withinNetwork(ops)
	var chosen []dataplane.Op
	for _, i := range possible {
		chosen = append(chosen, ops[i])
	}
	batch := s.model.Batch(chosen)
	if err := s.prepare(ctx, batch); err != nil {
		return nil, err
	}
	steps, err := batch.Steps()
	if err != nil {
		return nil, err
	}
	failed, err := s.execute(ctx, steps)
	if err != nil {
		for _, step := range failed {
			batch.Fail(step.IPv4, err)
		}
	}
	var executed []dataplane.Op
	for i, r := range batch.Results() {
		results[possible[i]] = r
		if r.Outcome == dataplane.Programmed {
			executed = append(executed, chosen[i])
		}
	}
	// It happened, so the slow path follows, however late it is.
	return results, s.driver.slow.apply(context.WithoutCancel(ctx), executed)
}

// withinNetwork returns the ops that the configured network allows, by their
// place, and the results of the others.
func (s *session) withinNetwork(ops []dataplane.Op) (results []dataplane.Result, possible []int) {
	results = make([]dataplane.Result, len(ops))
	for i, op := range ops {
		sw := op.Softwire
		if op.Kind == dataplane.Put && (!inside(s.driver.network.Pools, sw.IPv4) || !slices.Contains(s.driver.network.BRs, sw.BR)) && sw.Validate() == nil {
			results[i] = dataplane.Result{Outcome: dataplane.Retryable, Err: fmt.Errorf("%s: %w", sw, errOutside)}
			continue
		}
		possible = append(possible, i)
	}
	return results, possible
}

// prepare makes what a batch needs besides its own steps.
func (s *session) prepare(ctx context.Context, b *plan.Batch) error {
	if err := s.topology.Prepare(ctx, b.Wholes(), b.Offsets()); err != nil {
		return err
	}
	return s.spare(ctx, b.NewAddresses())
}

// The number of spare domains made at once is that of the addresses in use,
// within limits, so that it takes few rounds to load a table.
const (
	minSpares = 64
	maxSpares = 1 << 14
)

// spare makes sure that there are n spare domains.
func (s *session) spare(ctx context.Context, n int) error {
	if s.model.Spares() >= n {
		return nil
	}
	more := max(n, minSpares, min(s.model.Addresses(), maxSpares))
	if err := s.run(ctx, s.model.MoreSpares(more)); err != nil {
		return fmt.Errorf("spare MAP domains: %w", err)
	}
	found, err := readDomains(ctx, s.conn, s.model.Layout())
	if err != nil {
		return err
	}
	s.model.SetSpares(found)
	if s.model.Spares() < n {
		return fmt.Errorf("VPP has %d spare MAP domains, want %d", s.model.Spares(), n)
	}
	return nil
}

// execute has VPP execute steps, as many at once as fit in a script. It
// returns those that were not executed, or not for certain, and why.
func (s *session) execute(ctx context.Context, steps []plan.Step) (failed []plan.Step, err error) {
	for start := 0; start < len(steps); {
		end, lines := start+1, slices.Clone(steps[start].Lines)
		for end < len(steps) && len(lines)+len(steps[end].Lines) <= s.driver.config.ScriptLines {
			lines = append(lines, steps[end].Lines...)
			end++
		}
		if len(lines) > 0 {
			if err := topology.Run(ctx, s.conn, lines); err != nil {
				s.stale = true
				return steps[start:], err
			}
		}
		for _, step := range steps[start:end] {
			s.model.Done(step)
		}
		start = end
	}
	return nil, nil
}

// Softwires is as in dataplane.Programmer.
func (d *Driver) Softwires(ctx context.Context) iter.Seq2[softwire.Softwire, error] {
	return func(yield func(softwire.Softwire, error) bool) {
		if err := d.softwires(ctx, func(sw softwire.Softwire) bool { return yield(sw, nil) }); err != nil {
			yield(softwire.Softwire{}, err)
		}
	}
}

func (d *Driver) softwires(ctx context.Context, yield func(softwire.Softwire) bool) error {
	s, done, err := d.program(ctx)
	if err != nil {
		return err
	}
	err = s.refresh(ctx)
	layout := s.model.Layout()
	done()
	if err != nil {
		return err
	}
	found, err := readDomains(ctx, s.conn, layout)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(f plan.Domain) bool { return !layout.Holds(f.Tag) })
	var failed error
	err = readRules(ctx, s.conn, found, func(f plan.Domain) bool {
		var all []softwire.Softwire
		if all, failed = s.interpret(ctx, f); failed != nil {
			return false
		}
		for _, sw := range all {
			if !yield(sw) {
				return false
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// interpret says what a domain is that was found in VPP.
func (s *session) interpret(ctx context.Context, f plan.Domain) ([]softwire.Softwire, error) {
	select {
	case s.driver.programming <- struct{}{}:
		defer func() { <-s.driver.programming }()
		return s.model.Of(f), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Configure is as in dataplane.Programmer.
func (d *Driver) Configure(ctx context.Context, n dataplane.Network) error {
	if err := validate(n); err != nil {
		return err
	}
	s, done, err := d.program(ctx)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := s.limit(ctx)
	defer cancel()
	if err := s.refresh(ctx); err != nil {
		return err
	}
	return s.configure(ctx, n)
}

// validate reports a network that VPP can never have. The error wraps
// dataplane.ErrUnsupported.
func validate(n dataplane.Network) error {
	for _, p := range n.Pools {
		if !p.IsValid() || !p.Addr().Is4() {
			return fmt.Errorf("pool %s is no IPv4 prefix: %w", p, dataplane.ErrUnsupported)
		}
	}
	for _, br := range n.BRs {
		if !br.Is6() || br.Is4In6() || br.Zone() != "" {
			return fmt.Errorf("BR address %s is no IPv6 address: %w", br, dataplane.ErrUnsupported)
		}
	}
	return nil
}

func (s *session) configure(ctx context.Context, n dataplane.Network) error {
	pools := make(map[netip.Prefix]bool)
	for _, p := range n.Pools {
		pools[p.Masked()] = true
	}
	if err := s.configureBRs(ctx, n.BRs); err != nil {
		return err
	}
	var br netip.Addr
	if br = netip.IPv6Unspecified(); len(n.BRs) > 0 {
		br = n.BRs[0]
	}
	if err := s.addPools(ctx, pools, br); err != nil {
		return err
	}
	if err := s.removePools(ctx, pools); err != nil {
		return err
	}
	s.driver.network = dataplane.Network{Pools: slices.Collect(maps.Keys(pools)), BRs: slices.Clone(n.BRs)}
	return s.driver.slow.forwarder.Configure(ctx, s.driver.network)
}

// configureBRs makes exactly brs the BR addresses.
func (s *session) configureBRs(ctx context.Context, brs []netip.Addr) error {
	have := s.topology.BRs()
	changed := false
	for _, br := range brs {
		if !slices.Contains(have, br) {
			changed = true
			if err := s.topology.AddBR(ctx, br); err != nil {
				return err
			}
		}
	}
	if changed {
		if err := s.topology.Steer(ctx, s.model); err != nil {
			return err
		}
	}
	for _, br := range brs {
		if err := s.topology.LeadBR(ctx, br); err != nil {
			return err
		}
	}
	for _, br := range have {
		if !slices.Contains(brs, br) {
			if err := s.topology.RemoveBR(ctx, br); err != nil {
				return err
			}
		}
	}
	return nil
}

// addPools makes the domains of pools, and then the routes to them.
func (s *session) addPools(ctx context.Context, pools map[netip.Prefix]bool, br netip.Addr) error {
	if err := s.spare(ctx, len(pools)); err != nil {
		return err
	}
	for p := range pools {
		step, err := s.model.AddPool(p, br)
		if err != nil {
			return err
		}
		if failed, err := s.execute(ctx, []plan.Step{step}); len(failed) > 0 {
			return fmt.Errorf("pool %s: %w", p, err)
		}
		if err := s.topology.AddPool(ctx, p); err != nil {
			return fmt.Errorf("pool %s: %w", p, err)
		}
	}
	return nil
}

// removePools takes the routes away of all pools but some. Their domains follow
// when nothing of them is on its way any more.
func (s *session) removePools(ctx context.Context, keep map[netip.Prefix]bool) error {
	for _, p := range s.model.Pools() {
		if keep[p] {
			delete(s.retired, p)
			continue
		}
		if err := s.topology.RemovePool(ctx, p); err != nil {
			return fmt.Errorf("pool %s: %w", p, err)
		}
		if _, since := s.retired[p]; !since {
			s.retired[p] = time.Now()
		}
	}
	return nil
}

// retire makes spare the domains of pools that had no route for long enough.
func (s *session) retire(ctx context.Context) error {
	// VPP holds fragments for one timeout, and looks for them now and then.
	wait := 2 * s.driver.config.Forwarding.Reassembly.IPv4.Timeout
	for p, since := range s.retired {
		if time.Since(since) < wait {
			continue
		}
		if failed, err := s.execute(ctx, []plan.Step{s.model.RemovePool(p)}); len(failed) > 0 {
			return fmt.Errorf("pool %s: %w", p, err)
		}
		delete(s.retired, p)
	}
	return nil
}
