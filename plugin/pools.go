package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// addedPools is the collection of the store with the pools that were added while
// the router ran, by name, in JSON.
const addedPools = "pools"

// with is c with more pools.
func (c Config) with(added pool.Pools) Config {
	c.Pools = slices.Concat(c.Pools, added)
	return c
}

// withAdded is the configuration with the pools that the store has besides. The
// error is a *ConfigError if they do not go together.
func (p *Plugin) withAdded(ctx context.Context, st *bolt.Store) (Config, error) {
	if st == nil {
		return p.config, nil
	}
	var added pool.Pools
	for v, err := range st.Values(ctx, addedPools) {
		if err != nil {
			return Config{}, err
		}
		var one pool.Pool
		if err := json.Unmarshal(v.Data, &one); err != nil {
			return Config{}, fmt.Errorf("%w: pool %q: %w", store.ErrCorrupt, v.Key, err)
		}
		added = append(added, one)
	}
	c := p.config.with(added)
	if err := c.Validate(); err != nil {
		return Config{}, &ConfigError{fmt.Errorf("with the pools that were added while the router ran: %w", err)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.added = added
	return c, nil
}

// AddPool adds a pool besides those of the configuration. It stays over restarts
// until it is removed. The error wraps provision.ErrPool if it does not go with
// the others, provision.ErrStorage, ErrNotRunning or ErrNoLeases.
func (p *Plugin) AddPool(ctx context.Context, one pool.Pool) error {
	return p.changePools(ctx, func(run *running, c Config, added pool.Pools) (pool.Pools, error) {
		next := slices.Concat(added, pool.Pools{one})
		if err := c.with(next).Pools.Validate(); err != nil {
			return nil, poolError(one.Name, err)
		}
		data, err := json.Marshal(one)
		if err != nil {
			return nil, poolError(one.Name, err)
		}
		// Durable first: a lease of a pool that is not would prevent the next start.
		if err := run.keepPool(ctx, one.Name, data); err != nil {
			return nil, err
		}
		if _, err := p.apply(ctx, run, c.with(added), c.with(next)); err != nil {
			return nil, errors.Join(poolError(one.Name, err), run.keepPool(ctx, one.Name, nil))
		}
		return next, nil
	})
}

// RemovePool removes a pool that AddPool added and that has no lease any more.
// The errors are those of AddPool.
func (p *Plugin) RemovePool(ctx context.Context, name string) error {
	return p.changePools(ctx, func(run *running, c Config, added pool.Pools) (pool.Pools, error) {
		next := slices.DeleteFunc(slices.Clone(added), func(one pool.Pool) bool { return one.Name == name })
		if len(next) == len(added) {
			return nil, fmt.Errorf("pool %q: %w: it was not added while the router ran; pools of the configuration are changed there", name, provision.ErrPool)
		}
		if _, err := p.apply(ctx, run, c.with(added), c.with(next)); err != nil {
			return nil, poolError(name, err)
		}
		if err := run.keepPool(ctx, name, nil); err != nil {
			_, back := p.apply(ctx, run, c.with(next), c.with(added))
			return nil, errors.Join(err, back)
		}
		return next, nil
	})
}

// DrainPool ends, or begins again, that a pool gives out and extends leases. The
// errors are those of AddPool.
func (p *Plugin) DrainPool(ctx context.Context, name string, drain bool) error {
	leases, err := p.Leases()
	if err != nil {
		return err
	}
	return leases.Drain(ctx, name, drain)
}

// changePools makes the pools that change returns those that were added.
func (p *Plugin) changePools(ctx context.Context, change func(run *running, c Config, added pool.Pools) (pool.Pools, error)) error {
	run, done, err := p.reconfigure(ctx)
	if err != nil {
		return err
	}
	defer done()
	if run.leases == nil {
		return ErrNoLeases
	}
	c, added := p.wanted()
	next, err := change(run, c, added)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.added = next
	return nil
}

// keepPool makes a pool durable; nil data forgets it.
func (r *running) keepPool(ctx context.Context, name string, data []byte) error {
	err := r.store.Commit(ctx, store.Batch{Values: []store.Value{{Collection: addedPools, Key: name, Data: data}}})
	if err != nil {
		return fmt.Errorf("pool %q: %w", name, err)
	}
	return nil
}

// poolError is why a pool cannot be added or removed: the first of all reasons
// tells enough.
func poolError(name string, err error) error {
	return fmt.Errorf("pool %q: %w: %w", name, provision.ErrPool, element.Each(err)[0])
}
