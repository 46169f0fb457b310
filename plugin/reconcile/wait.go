package reconcile

import (
	"context"
	"fmt"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// waiters are the callers of Wait.
type waiters struct {
	byKey map[softwire.Key][]*waiter
	// fresh are those whose view of the table the loop may not have seen yet.
	fresh []*waiter
}

// waiter is one caller of Wait.
type waiter struct {
	// want is what the table said of each key that is not settled yet: the
	// softwire, or the zero Softwire for none.
	want   map[softwire.Key]softwire.Softwire
	fresh  bool
	failed []*KeyError
	done   chan struct{} // closed when want is empty
}

func (w *waiters) add(x *waiter) {
	x.fresh = true
	w.fresh = append(w.fresh, x)
	for key := range x.want {
		w.byKey[key] = append(w.byKey[key], x)
	}
}

// remove takes key from x.
func (w *waiters) remove(key softwire.Key, x *waiter) {
	delete(x.want, key)
	var rest []*waiter
	for _, y := range w.byKey[key] {
		if y != x {
			rest = append(rest, y)
		}
	}
	if len(rest) == 0 {
		delete(w.byKey, key)
	} else {
		w.byKey[key] = rest
	}
	if len(x.want) == 0 {
		close(x.done)
	}
}

// resolve tells those who wait for key if it is settled.
func (w *waiters) resolve(s *state, key softwire.Key) {
	for _, x := range w.byKey[key] {
		w.resolveFor(s, key, x)
	}
}

func (w *waiters) resolveFor(s *state, key softwire.Key, x *waiter) {
	final, err := s.verdict(key, x.want[key])
	if !final || x.fresh {
		return
	}
	if err != nil {
		x.failed = append(x.failed, &KeyError{key, err})
	}
	w.remove(key, x)
}

// resolveAll looks at every key that somebody waits for.
func (w *waiters) resolveAll(s *state) {
	for key := range w.byKey {
		w.resolve(s, key)
	}
}

// refreshed looks at the keys of a change that was taken in.
func (w *waiters) refreshed(s *state, c softwire.Change) {
	if len(w.byKey) == 0 {
		return
	}
	for _, key := range c.Remove {
		w.resolve(s, key)
	}
	for _, sw := range c.Put {
		w.resolve(s, sw.Key())
	}
}

// takeFresh returns the fresh waiters. The table, looked at after that, is as
// they saw it, or later.
func (w *waiters) takeFresh() []*waiter {
	fresh := w.fresh
	w.fresh = nil
	return fresh
}

// caughtUp says that seen is the table as the fresh waiters saw it, or later.
func (w *waiters) caughtUp(s *state, fresh []*waiter) {
	for _, x := range fresh {
		x.fresh = false
		for key := range x.want {
			w.resolveFor(s, key, x)
		}
	}
}

// verdict is what to tell somebody who waits for key to be want. It is final
// or will change; an error wraps one of this package.
func (s *state) verdict(key softwire.Key, want softwire.Softwire) (final bool, err error) {
	if s.seen == nil {
		return false, nil
	}
	if now, _ := s.seen.Get(key); now != want {
		return true, ErrSuperseded
	}
	if o := s.backlog.byKey[key]; o != nil && o.phase == refused {
		return true, fmt.Errorf("%w: %w", ErrUnsupported, o.reason)
	}
	return s.settled(key), nil
}

// Wait returns when the data plane holds for each of keys what the table says at
// the time of the call, which may be nothing. Otherwise the error is a
// *WaitError with the keys of which that is not so: refused, overtaken by
// another change of the table, or still pending when ctx ended. What is pending
// goes on being tried.
func (r *Reconciler) Wait(ctx context.Context, keys ...softwire.Key) error {
	table := r.table.Snapshot()
	want := make(map[softwire.Key]softwire.Softwire, len(keys))
	for _, key := range keys {
		want[key], _ = table.Get(key)
	}
	return r.wait(ctx, want)
}

// Holds reports whether the data plane is known to hold sw, and does not wait.
func (r *Reconciler) Holds(sw softwire.Softwire) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	final, err := r.state.verdict(sw.Key(), sw)
	return final && err == nil
}

// Apply applies c to the table and waits for the data plane to follow. An error
// of the table means that nothing was done; it is returned as it is. A
// *WaitError means that the table has changed and the data plane has not, or not
// wholly, see Wait.
func (r *Reconciler) Apply(ctx context.Context, c softwire.Change) error {
	if err := r.table.Apply(c); err != nil {
		return err
	}
	r.Changed()
	want := make(map[softwire.Key]softwire.Softwire, len(c.Remove)+len(c.Put))
	for _, key := range c.Remove {
		want[key] = softwire.Softwire{}
	}
	for _, sw := range c.Put {
		want[sw.Key()] = sw
	}
	return r.wait(ctx, want)
}

func (r *Reconciler) wait(ctx context.Context, want map[softwire.Key]softwire.Softwire) error {
	if len(want) == 0 {
		return nil
	}
	x := &waiter{want: want, done: make(chan struct{})}
	r.mu.Lock()
	r.state.waiters.add(x)
	r.mu.Unlock()
	r.Changed()
	select {
	case <-x.done:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var cause error
	for key := range x.want {
		cause = ctx.Err()
		x.failed = append(x.failed, &KeyError{key, r.pendingReason(key)})
		r.state.waiters.remove(key, x)
	}
	if len(x.failed) == 0 {
		return nil
	}
	slices.SortFunc(x.failed, func(a, b *KeyError) int { return a.Key.Compare(b.Key) })
	return &WaitError{Keys: x.failed, Cause: cause}
}

// pendingReason says why key is not settled. The lock is held.
func (r *Reconciler) pendingReason(key softwire.Key) error {
	s := &r.state
	switch o := s.backlog.byKey[key]; {
	case o != nil && o.reason != nil:
		return fmt.Errorf("%w: %w", ErrPending, o.reason)
	case r.health.Incarnation == 0 && r.health.Reason != "":
		return fmt.Errorf("%w: the data plane is %s: %s", ErrPending, r.health.State, r.health.Reason)
	case r.network.err != nil:
		return fmt.Errorf("%w: %w", ErrPending, r.network.err)
	case s.unknown && s.read.err != nil:
		return fmt.Errorf("%w: %w", ErrPending, s.read.err)
	}
	return ErrPending
}
