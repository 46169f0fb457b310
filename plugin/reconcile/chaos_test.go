package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

var errChaos = errors.New("chaos")

// chaos stands before a data plane and makes of it one that refuses ops, loses
// answers, executes batches by halves, forgets, disappears, and holds what
// nobody put there. It complains of a caller that breaks the contract.
type chaos struct {
	under    Dataplane
	complain func(format string, args ...any)
	// strict: nobody but the caller changes what is held, so the caller has no
	// excuse for sending a put whose ports are still held.
	strict bool
	// refuses says what is unsupported.
	refuses func(softwire.Softwire) bool
	most    int // ops of a batch

	mu         sync.Mutex
	rng        *rand.Rand
	calm       bool
	configured bool
	health     dataplane.Health
	latest     uint64
	changed    chan struct{}
}

func newChaos(under Dataplane, seed uint64, complain func(string, ...any)) *chaos {
	return &chaos{
		under: under, complain: complain,
		refuses: func(softwire.Softwire) bool { return false },
		most:    DefaultConfig().BatchSize,
		rng:     rand.New(rand.NewPCG(seed, 1)),
		health:  dataplane.Health{State: dataplane.StateUp, Incarnation: 1},
		latest:  1,
		changed: make(chan struct{}),
	}
}

func (c *chaos) Name() string { return "chaos over " + c.under.Name() }

// chance is true in percent of the cases, never when calm.
func (c *chaos) chance(percent int) bool { return !c.calm && c.rng.IntN(100) < percent }

// enter takes time, and fails sometimes. Without an error the lock is held.
func (c *chaos) enter(ctx context.Context) error {
	c.mu.Lock()
	pause := time.Duration(c.rng.Int64N(int64(20 * time.Millisecond)))
	switch {
	case c.chance(2):
		pause = time.Hour // it hangs
	case c.calm:
		pause = 0
	}
	c.mu.Unlock()
	if sleep(ctx, pause); ctx.Err() != nil {
		return ctx.Err()
	}
	c.mu.Lock()
	if c.health.Incarnation == 0 || c.chance(5) {
		c.mu.Unlock()
		return errChaos
	}
	return nil
}

func (c *chaos) Configure(ctx context.Context, n dataplane.Network) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if err := c.under.Configure(ctx, n); err != nil {
		return err
	}
	c.configured = true
	return nil
}

func (c *chaos) Apply(ctx context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	if len(ops) == 0 || len(ops) > c.most {
		c.complain("a batch of %d ops", len(ops))
	}
	n := len(ops)
	answerLost := c.chance(8)
	if answerLost {
		n = c.rng.IntN(n + 1)
	}
	results := make([]dataplane.Result, len(ops))
	seen := make(map[softwire.Key]bool)
	for i, op := range ops[:n] {
		if seen[op.Softwire.Key()] {
			c.complain("a batch has %s twice", op.Softwire.Key())
		}
		seen[op.Softwire.Key()] = true
		results[i] = c.one(ctx, op)
	}
	switch {
	case answerLost:
		return nil, errChaos
	case c.chance(2):
		return results[:len(results)-1], nil
	}
	return results, nil
}

// one executes one op. The lock is held.
func (c *chaos) one(ctx context.Context, op dataplane.Op) dataplane.Result {
	switch {
	case c.chance(10):
		return dataplane.Result{Outcome: dataplane.Retryable, Err: errChaos}
	case op.Kind == dataplane.Put && !c.configured:
		// The caller may not know yet that another incarnation has begun.
		return dataplane.Result{Outcome: dataplane.Retryable, Err: errChaos}
	case op.Kind == dataplane.Put && c.refuses(op.Softwire):
		return dataplane.Result{Outcome: dataplane.Unsupported, Err: errChaos}
	}
	results, err := c.under.Apply(ctx, []dataplane.Op{op})
	if err != nil {
		return dataplane.Result{Outcome: dataplane.Retryable, Err: err}
	}
	if c.strict && results[0].Outcome != dataplane.Programmed {
		c.complain("%s %s was sent too early: %v", op.Kind, op.Softwire, results[0].Err)
	}
	return results[0]
}

func (c *chaos) Softwires(ctx context.Context) iter.Seq2[softwire.Softwire, error] {
	return func(yield func(softwire.Softwire, error) bool) {
		if err := c.enter(ctx); err != nil {
			yield(softwire.Softwire{}, err)
			return
		}
		held, err := read(ctx, c.under)
		n := len(held)
		if c.chance(5) {
			n, err = c.rng.IntN(n+1), errChaos
		}
		c.rng.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		c.mu.Unlock()
		for _, sw := range held[:n] {
			if !yield(sw, nil) {
				return
			}
		}
		if err != nil {
			yield(softwire.Softwire{}, err)
		}
	}
}

// read is what dp holds.
func read(ctx context.Context, dp Dataplane) ([]softwire.Softwire, error) {
	var held []softwire.Softwire
	for sw, err := range dp.Softwires(ctx) {
		if err != nil {
			return held, err
		}
		held = append(held, sw)
	}
	return held, nil
}

func (c *chaos) WaitHealth(ctx context.Context, known dataplane.Health) (dataplane.Health, error) {
	for {
		c.mu.Lock()
		h, changed := c.health, c.changed
		c.mu.Unlock()
		if !h.Same(known) {
			return h, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return dataplane.Health{}, ctx.Err()
		}
	}
}

func (c *chaos) setHealth(h dataplane.Health) {
	c.health = h
	close(c.changed)
	c.changed = make(chan struct{})
}

// lose empties the data plane, as a crash does.
func (c *chaos) lose(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, err := read(ctx, c.under)
	if err != nil {
		return err
	}
	for _, sw := range held {
		if err := c.force(ctx, removeOp(sw.Key())); err != nil {
			return err
		}
	}
	c.configured = false
	c.latest++
	c.setHealth(dataplane.Health{State: dataplane.StateUp, Incarnation: c.latest})
	return nil
}

// force changes what is held behind the caller's back. The lock is held.
func (c *chaos) force(ctx context.Context, op dataplane.Op) error {
	results, err := c.under.Apply(ctx, []dataplane.Op{op})
	if err == nil && results[0].Outcome == dataplane.Unsupported {
		err = results[0].Err
	}
	if err != nil {
		return fmt.Errorf("behind the caller's back: %w", err)
	}
	return nil
}

func (c *chaos) disconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setHealth(dataplane.Health{State: dataplane.StateDown, Reason: "chaos"})
}

func (c *chaos) reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setHealth(dataplane.Health{State: dataplane.StateUp, Incarnation: c.latest})
}

// plant puts a stranger, if there is room for it, and pluck takes any softwire.
func (c *chaos) plant(ctx context.Context, sw softwire.Softwire) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.configured {
		return nil
	}
	return c.force(ctx, putOp(sw))
}

func (c *chaos) pluck(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, err := read(ctx, c.under)
	if err != nil || len(held) == 0 {
		return err
	}
	slices.SortFunc(held, func(a, b softwire.Softwire) int { return a.Key().Compare(b.Key()) })
	return c.force(ctx, removeOp(held[c.rng.IntN(len(held))].Key()))
}

// soothe ends all failures.
func (c *chaos) soothe() {
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
	c.reconnect()
}
