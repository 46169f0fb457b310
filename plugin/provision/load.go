package provision

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision/clock"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// loader is what Load needs of a store.
type loader interface {
	Leases(ctx context.Context) iter.Seq2[lease.Lease, error]
	Values(ctx context.Context, collection string) iter.Seq2[store.Value, error]
}

// Collections of the store.
const (
	clockValues = "clock" // the latest time, as RFC 3339 text
	latestKey   = "latest"
	drainValues = "drain" // by name, the pools that are drained
)

// batchSize is how many softwires go into the table at once: many, since every
// change of the table copies parts of it, and still few for the memory.
const batchSize = 1 << 17

// Load takes in the pools, the softwires of the configuration, which the table
// has, and what the store has: leases go into the table too, and after that it is
// complete. It is called once, before everything else.
//
// The error wraps clock.ErrAhead; or lease.ErrPool or lease.ErrTaken, if the
// configuration has no place for a lease; or is one of the store.
func (p *Provisioner) Load(ctx context.Context, pools pool.Pools) error {
	latest, err := p.latest(ctx)
	if err != nil {
		return err
	}
	if p.clock, err = clock.New(p.wall, latest, p.config.Clock); err != nil {
		return err
	}
	p.saved = latest
	now := p.clock.Now()
	p.static = p.table.Snapshot()
	fixed := softwire.Change{Put: slices.Collect(p.static.All())}
	if err := p.book.Configure(pools, fixed, now); err != nil {
		return err
	}
	if err := p.loadDrains(ctx); err != nil {
		return err
	}
	return p.loadLeases(ctx, now)
}

func (p *Provisioner) latest(ctx context.Context) (latest time.Time, err error) {
	for v, err := range p.store.Values(ctx, clockValues) {
		if err != nil {
			return time.Time{}, err
		}
		if v.Key == latestKey {
			if err := latest.UnmarshalText(v.Data); err != nil {
				return time.Time{}, fmt.Errorf("%w: the latest time: %w", store.ErrCorrupt, err)
			}
		}
	}
	return latest, nil
}

func (p *Provisioner) loadDrains(ctx context.Context) error {
	for v, err := range p.store.Values(ctx, drainValues) {
		if err != nil {
			return err
		}
		// A pool that is gone needs no draining.
		if err := p.book.Drain(v.Key, true); err != nil && !errors.Is(err, ErrPool) {
			return err
		}
	}
	return nil
}

func (p *Provisioner) loadLeases(ctx context.Context, now time.Time) error {
	stored := p.store.Stats().Leases
	p.book.Expect(stored)
	put := make([]softwire.Softwire, 0, min(stored, batchSize))
	flush := func() error {
		err := p.table.Apply(softwire.Change{Put: put})
		put = put[:0]
		return err
	}
	for l, err := range p.store.Leases(ctx) {
		if err != nil {
			return err
		}
		if err := p.book.Restore(l, now); err != nil {
			return err
		}
		// A softwire of the configuration may have taken its place.
		if l, _ := p.book.Get(l.Key()); l.State != lease.Bound || l.Configured {
			continue
		}
		if put = append(put, l.Softwire); len(put) == batchSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Configure makes pools and static all that the configuration says, like Load.
// It is all or nothing, and returns what it changed in the table. The error wraps
// lease.ErrPool or lease.ErrTaken, if that leaves no place for a lease, or is one
// of the table.
func (p *Provisioner) Configure(pools pool.Pools, static *softwire.Snapshot) (softwire.Change, error) {
	p.configuring.Lock()
	defer p.configuring.Unlock()
	before := p.book.Pools()
	change := softwire.Diff(p.static, static)
	now := p.clock.Now()
	if err := p.book.Configure(pools, change, now); err != nil {
		return softwire.Change{}, err
	}
	if err := p.table.Apply(change); err != nil {
		// What was just given up is its own.
		return softwire.Change{}, errors.Join(err, p.book.Configure(before, softwire.Diff(static, p.static), now))
	}
	p.dp.Changed()
	p.static = static
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range change.Remove {
		if l, ok := p.book.Get(k); ok && l.State == lease.Leaving {
			p.ending[k] = ending{kind: history.Removed, reason: "not in the configuration any more"}
		}
	}
	p.nudge()
	return change, nil
}

// Drain ends, or begins again, that a pool gives out and extends leases. Those
// that it has expire. The error wraps ErrPool or ErrStorage.
func (p *Provisioner) Drain(ctx context.Context, name string, drain bool) error {
	if !slices.ContainsFunc(p.book.Pools(), func(def pool.Pool) bool { return def.Name == name }) {
		return p.book.Drain(name, drain)
	}
	v := store.Value{Collection: drainValues, Key: name}
	if drain {
		v.Data = []byte("drain")
	}
	if err := p.commit(ctx, store.Batch{Values: []store.Value{v}}); err != nil {
		return err
	}
	return p.book.Drain(name, drain)
}

// commit makes a batch durable. Run finds out when a store that failed works
// again.
func (p *Provisioner) commit(ctx context.Context, batch store.Batch) error {
	err := p.write(ctx, batch)
	if err != nil {
		p.nudge()
	}
	return err
}

// write makes a batch durable, and with it what time it is.
func (p *Provisioner) write(ctx context.Context, batch store.Batch) error {
	now := p.clock.Now().Truncate(time.Second)
	p.mu.Lock()
	save := now.After(p.saved)
	p.mu.Unlock()
	if save {
		text, err := now.MarshalText()
		if err != nil {
			return err
		}
		batch.Values = append(batch.Values, store.Value{Collection: clockValues, Key: latestKey, Data: text})
	}
	if err := p.store.Commit(ctx, batch); err != nil {
		return err
	}
	if save {
		p.mu.Lock()
		defer p.mu.Unlock()
		if now.After(p.saved) {
			p.saved = now
		}
	}
	return nil
}
