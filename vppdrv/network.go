package vppdrv

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
)

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
	s.probed.Store(nil)
	if len(n.BRs) > 0 {
		s.probed.Store(&br)
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
	if err := s.spare(ctx, len(pools)+1); err != nil {
		return err
	}
	if err := s.addPool(ctx, plan.Probe(), br); err != nil {
		return err
	}
	for p := range pools {
		if err := s.addPool(ctx, p, br); err != nil {
			return err
		}
		if err := s.topology.AddPool(ctx, p); err != nil {
			return fmt.Errorf("pool %s: %w", p, err)
		}
	}
	return nil
}

// addPool makes the domain of a pool.
func (s *session) addPool(ctx context.Context, p netip.Prefix, br netip.Addr) error {
	step, err := s.model.AddPool(p, br)
	if err == nil {
		err = s.executeOne(ctx, step)
	}
	if err != nil {
		return fmt.Errorf("pool %s: %w", p, err)
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
		if err := s.executeOne(ctx, s.model.RemovePool(p)); err != nil {
			return fmt.Errorf("pool %s: %w", p, err)
		}
		delete(s.retired, p)
	}
	return nil
}

func (s *session) executeOne(ctx context.Context, step plan.Step) error {
	if failures := s.execute(ctx, []plan.Step{step}, func() {}); len(failures) > 0 {
		return failures[0].err
	}
	return nil
}
