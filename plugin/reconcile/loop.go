package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// loop does one thing after the other, and is the only one that changes state.
func (r *Reconciler) loop(ctx context.Context) error {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.state.endPass()
	}()
	for ctx.Err() == nil {
		r.absorb(time.Now())
		if until, idle := r.step(ctx); idle {
			r.await(ctx, until)
		}
	}
	return nil
}

// await returns at until, if that is set, or when there is something new.
func (r *Reconciler) await(ctx context.Context, until time.Time) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-r.wake:
	case <-due:
	case <-ctx.Done():
	}
}

// absorb takes in what has happened outside: the table, the health, and what
// was asked.
func (r *Reconciler) absorb(now time.Time) {
	s := &r.state
	first := s.seen == nil
	r.mu.Lock()
	// Before the table is looked at: a large change may wait for this.
	if s.pass.finished() && !s.unknown && s.finishPass(now) {
		r.logSync()
		r.progress.made()
	}
	fresh := s.waiters.takeFresh()
	pools := r.network.wanted.Pools
	recount := r.network.pools || first
	r.network.pools = false
	snapshot := r.table.Snapshot()
	if first {
		s.start(snapshot, now)
	}
	r.mu.Unlock()

	// What takes long with a large table is done without the lock.
	var change softwire.Change
	differs := snapshot != s.seen && !s.deferred
	if differs {
		change = softwire.Diff(s.seen, snapshot)
	}
	var recounted *counts
	if recount {
		recounted = s.recount(pools)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if recounted != nil {
		s.counts = recounted
	}
	if differs {
		s.refresh(snapshot, change, now)
	}
	if s.seen == snapshot {
		s.waiters.caughtUp(s, fresh)
	} else {
		s.waiters.fresh = append(s.waiters.fresh, fresh...)
	}
	if h := r.health.Incarnation; h != 0 && h != r.incarnation {
		r.incarnation = h
		r.network.once, r.network.refused, r.network.due, r.network.changed = false, false, time.Time{}, true
		s.incarnation(now)
	}
	if r.complete {
		s.declareComplete(now)
	}
	if r.resync {
		r.resync = false
		s.read.wanted, s.read.due = true, now
	}
	r.becomeReady(snapshot)
	if differs || recount {
		r.progress.made()
	}
}

// becomeReady closes ready at the end of the first full sync of a complete
// table. The lock is held.
func (r *Reconciler) becomeReady(table *softwire.Snapshot) {
	s := &r.state
	if !s.complete || s.unknown || s.pass != nil || s.lastSync.IsZero() || s.seen != table {
		return
	}
	select {
	case <-r.ready:
	default:
		close(r.ready)
		r.log.WithField("softwires", s.counts.all.Desired).Info("data plane follows the table")
	}
}

// step does what is most urgent. If there is nothing to do it reports until
// when, the zero time for no end.
func (r *Reconciler) step(ctx context.Context) (until time.Time, idle bool) {
	now := time.Now()
	s := &r.state
	r.mu.Lock()
	reachable := r.health.Incarnation != 0 && r.health.Incarnation == r.incarnation
	network := r.network
	r.mu.Unlock()
	if !reachable {
		return time.Time{}, true
	}
	if network.changed && !network.refused {
		if !now.Before(network.due) {
			r.configure(ctx, network.wanted)
			return time.Time{}, false
		}
		until = network.due
	}
	if !network.once {
		return until, true
	}
	readable := s.read.wanted && (s.unknown || s.pass == nil)
	if readable && !now.Before(s.read.due) && (s.unknown || !now.Before(s.read.due.Add(r.config.RetryMax))) {
		r.readBack(ctx)
		return time.Time{}, false
	}
	if s.unknown {
		return earliest(until, s.read.due), true
	}
	r.mu.Lock()
	b, more := s.plan(now)
	r.mu.Unlock()
	switch {
	case len(b.ops) > 0:
		r.apply(ctx, b)
		return time.Time{}, false
	case more || s.pass.finished():
		return time.Time{}, false
	case readable && !now.Before(s.read.due):
		r.readBack(ctx)
		return time.Time{}, false
	}
	if readable {
		until = earliest(until, s.read.due)
	}
	if len(s.backlog.timers) > 0 {
		until = earliest(until, s.backlog.timers[0].due)
	}
	return until, true
}

// earliest is the earlier of two times that are set.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// call is the context of one call of the data plane. A new incarnation ends it.
func (r *Reconciler) call(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupt = cancel
	if r.health.Incarnation != r.incarnation {
		cancel()
	}
	return ctx, func() {
		cancel()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.interrupt = nil
	}
}

// configure tells the data plane its networks.
func (r *Reconciler) configure(ctx context.Context, network dataplane.Network) {
	call, end := r.call(ctx, r.config.ApplyTimeout)
	err := r.dp.Configure(call, network)
	end()
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &r.network
	defer r.progress.made()
	if err == nil {
		n.once = true
		n.err, n.attempts = nil, 0
		// Another one may have been set meanwhile.
		n.changed = !sameNetwork(n.wanted, network)
		return
	}
	n.err = fmt.Errorf("configuring the networks: %w", err)
	if errors.Is(err, dataplane.ErrUnsupported) {
		n.refused = sameNetwork(n.wanted, network)
		r.log.WithError(err).Error("the data plane cannot serve these networks; change pools or BR addresses")
		return
	}
	n.attempts++
	n.due = time.Now().Add(r.config.backoff(n.attempts))
	r.log.WithError(err).Warn("configuring the networks failed; will try again")
}

// readBack compares the data plane with the table.
func (r *Reconciler) readBack(ctx context.Context) {
	s := &r.state
	call, end := r.call(ctx, r.config.ReadTimeout)
	h, err := s.readBack(call, r.dp)
	end()
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.progress.made()
	if err != nil {
		s.failedRead(err, now)
		r.log.WithError(err).WithField("retry", s.read.due.Sub(now)).Warn("read back failed")
		return
	}
	s.adopt(h, now)
	r.logRead(h)
}

// apply sends a batch.
func (r *Reconciler) apply(ctx context.Context, b batch) {
	call, end := r.call(ctx, r.config.ApplyTimeout)
	began := time.Now()
	results, err := r.dp.Apply(call, b.ops)
	end()
	r.applyTimes.Observe(time.Since(began))
	if ctx.Err() != nil {
		return
	}
	if err == nil && len(results) != len(b.ops) {
		err = fmt.Errorf("%d results for %d ops", len(results), len(b.ops))
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.progress.made()
	if err != nil {
		r.state.lost(b, fmt.Errorf("applying a batch: %w", err), now)
		r.log.WithError(err).WithField("ops", len(b.ops)).Warn("a batch has no results; will read back")
		return
	}
	r.logRefusals(r.state.settle(b, results, now))
}
