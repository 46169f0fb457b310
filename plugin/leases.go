package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/provision/clock"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// StoreConfig is where leases are kept.
type StoreConfig struct {
	// Path is the absolute path of the file; empty for no leases.
	Path string `yaml:"path"`
	// MaxTimeGap is how long the router may have been off.
	MaxTimeGap time.Duration `yaml:"max-time-gap"`
}

// Validate reports what is wrong with c.
func (c StoreConfig) Validate() error {
	var errs []error
	if c.Path != "" && (!filepath.IsAbs(c.Path) || filepath.Clean(c.Path) != c.Path) {
		errs = append(errs, element.Errorf("path", "%q is not an absolute, clean path", c.Path))
	}
	if c.MaxTimeGap < time.Hour {
		errs = append(errs, element.Errorf("max-time-gap", "%s: must be at least %s", c.MaxTimeGap, time.Hour))
	}
	return errors.Join(errs...)
}

// needsStore refuses pools that lend without a place where that is remembered.
func (c Config) needsStore() error {
	var errs []error
	for i, p := range c.Pools {
		if c.Store.Path == "" && (p.Allows(pool.DHCPv6) || p.Allows(pool.PCP)) {
			errs = append(errs, element.Errorf(element.Item("pools", i)+".mechanisms", "leases need a file: set store.path"))
		}
	}
	return errors.Join(errs...)
}

// openStore opens the store of the configuration, if it has one. r closes it.
func (p *Plugin) openStore(ctx context.Context, r *runner) (*bolt.Store, error) {
	if p.config.Store.Path == "" {
		return nil, nil
	}
	st, err := bolt.Open(p.config.Store.Path)
	if err != nil {
		return nil, err
	}
	r.closing(func() {
		if err := st.Close(); err != nil {
			p.log.WithError(err).Error("closing the store")
		}
	})
	return st, nil
}

// loadLeases takes the leases of the store into the table. The error is a
// *ConfigError if the configuration has no place for a lease, or does not allow
// for the time that has passed.
func (p *Plugin) loadLeases(ctx context.Context, st *bolt.Store, pools pool.Pools, table *softwire.Table, rec *reconcile.Reconciler) (*provision.Provisioner, error) {
	c := provision.DefaultConfig()
	c.Clock.Start = p.config.Store.MaxTimeGap
	leases := provision.New(c, st, table, rec, p.now, p.log.WithField("part", "leases"))
	if err := leases.Load(ctx, pools); err != nil {
		if bad := leaseConflict(err); bad != nil {
			return nil, bad
		}
		if errors.Is(err, clock.ErrAhead) {
			return nil, &ConfigError{element.At("store.max-time-gap", err)}
		}
		return nil, fmt.Errorf("store %s: %w", p.config.Store.Path, err)
	}
	return leases, nil
}

// leaseConflict is err as a *ConfigError if leases are what is wrong with a
// Config, else nil.
func leaseConflict(err error) error {
	switch {
	case errors.Is(err, provision.ErrTaken):
		return &ConfigError{element.At("softwires", err)}
	case errors.Is(err, provision.ErrPool):
		return &ConfigError{element.At("pools", err)}
	}
	return nil
}

// networkOf is what is ours by c and the softwires static, and by leases, which may
// have the BR address that their pool had before.
func (r *running) networkOf(c Config, static *softwire.Snapshot) dataplane.Network {
	n := networkOf(c, static)
	if r.leases != nil {
		n.BRs = append(n.BRs, r.leases.BRs()...)
		slices.SortFunc(n.BRs, netip.Addr.Compare)
		n.BRs = slices.Compact(n.BRs)
	}
	return n
}

// replace makes static all softwires of the configuration.
func (r *running) replace(pools pool.Pools, static *softwire.Snapshot) (softwire.Change, error) {
	if r.leases == nil {
		c, err := r.table.Replace(static.All())
		r.rec.Changed()
		return c, err
	}
	c, err := r.leases.Configure(pools, static)
	if bad := leaseConflict(err); bad != nil {
		return c, bad
	}
	return c, err
}

// ErrNoLeases reports a router without a store.
var ErrNoLeases = errors.New("there are no leases without store.path in the configuration")

// Leases returns what grants and ends leases while the router runs. The error
// wraps ErrNotRunning or ErrNoLeases.
func (p *Plugin) Leases() (*provision.Provisioner, error) {
	run, err := p.present()
	if err != nil {
		return nil, err
	}
	if run.leases == nil {
		return nil, ErrNoLeases
	}
	return run.leases, nil
}
