package announce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Errors of what operators ask for.
var (
	// ErrPool: there is no such pool.
	ErrPool = errors.New("no such pool")
	// ErrShared: a route is also of pools that were not named.
	ErrShared = errors.New("they share a route")
	// ErrState: it holds, but would not survive a restart.
	ErrState = errors.New("not kept over a restart")
)

// Drain begins to take pools out of the network: their routes are announced with
// Drain set, and withdrawn when traffic has fallen or the time is over. No names
// are all pools. Draining again is no error, and goes on as it was. The error
// wraps ErrPool or ErrShared, and then nothing was done, or ErrState.
func (g *Gate) Drain(names []string) error {
	return g.change(names, func(chosen []string, now time.Time) error {
		if err := g.core.together(chosen); err != nil {
			return err
		}
		for _, name := range chosen {
			if r := g.core.memory.Pools[name]; r.Drain.IsZero() {
				r.Drain = now
			}
		}
		return nil
	})
}

// Undrain ends drains, and whatever else keeps good pools from being announced.
// No names are all pools. The error wraps ErrPool or ErrState.
func (g *Gate) Undrain(names []string) error {
	return g.change(names, func(chosen []string, _ time.Time) error {
		for _, name := range chosen {
			g.core.memory.Pools[name].forgive()
		}
		return nil
	})
}

// Release lets pools go that are held or in their hold-down, and leaves drains as
// they are. No names are all pools. The error wraps ErrPool or ErrState.
func (g *Gate) Release(names []string) error {
	return g.change(names, func(chosen []string, _ time.Time) error {
		for _, name := range chosen {
			r := g.core.memory.Pools[name]
			drain, drained := r.Drain, r.Drained
			r.forgive()
			r.Drain, r.Drained = drain, drained
		}
		return nil
	})
}

// change does what an operator asks of pools, and makes it durable.
func (g *Gate) change(names []string, do func(chosen []string, now time.Time) error) error {
	err := func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(names) == 0 {
			for name := range g.core.pools {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if g.core.pools[name] == nil {
				return fmt.Errorf("%w: %q", ErrPool, name)
			}
		}
		return do(names, time.Now())
	}()
	if err != nil {
		return err
	}
	signal(g.wake)
	if err := g.save(); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	return nil
}

// together refuses to drain some pools of a route: the others would lose it.
func (g *gate) together(chosen []string) error {
	for _, r := range g.routes {
		if !slices.ContainsFunc(r.Pools, func(name string) bool { return slices.Contains(chosen, name) }) {
			continue
		}
		var rest []string
		for _, name := range r.Pools {
			if g.pools[name].Drain.IsZero() && !slices.Contains(chosen, name) {
				rest = append(rest, name)
			}
		}
		if len(rest) > 0 {
			return fmt.Errorf("%w: %s is also of %s, which would lose it; name all of its pools", ErrShared, r.Prefix, strings.Join(rest, ", "))
		}
	}
	return nil
}

// measureEvery is between two looks at the traffic of pools that drain.
const measureEvery = 2 * time.Second

// measure keeps the rates while a pool drains.
func (g *Gate) measure(ctx context.Context) error {
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	var last map[string]uint64
	var at time.Time
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		var now map[string]uint64
		if g.draining() {
			var err error
			limited, cancel := context.WithTimeout(ctx, measureEvery)
			if now, err = g.meter(limited); err != nil && ctx.Err() == nil {
				g.log.WithError(err).Warn("traffic cannot be measured")
			}
			cancel()
		}
		rates := ratesOf(last, now, time.Since(at))
		last, at = now, time.Now()
		g.mu.Lock()
		changed := len(rates) > 0 || len(g.rates) > 0
		g.rates = rates
		g.mu.Unlock()
		if changed {
			signal(g.wake)
		}
	}
}

func (g *Gate) draining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.core.pools {
		if p.draining() {
			return true
		}
	}
	return false
}

// ratesOf are packets per second between two counts, none if there were no two.
// Counts that fell began anew in between.
func ratesOf(before, after map[string]uint64, t time.Duration) map[string]float64 {
	if before == nil || after == nil || t <= 0 {
		return nil
	}
	rates := make(map[string]float64, len(after))
	for name, n := range after {
		if n >= before[name] {
			rates[name] = float64(n-before[name]) / t.Seconds()
		}
	}
	return rates
}
