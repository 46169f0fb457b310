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
	want   []wish // ordered by key, each key once
	left   int    // of want, that are not settled yet
	fresh  bool
	failed []*KeyError
	done   chan struct{} // closed when none is left
}

// wish is what the table said of a key: the softwire, or the zero Softwire for none.
type wish struct {
	key     softwire.Key
	want    softwire.Softwire
	settled bool
}

// newWaiter waits for wishes, of which the first of each key counts.
func newWaiter(want []wish) *waiter {
	slices.SortStableFunc(want, func(a, b wish) int { return a.key.Compare(b.key) })
	want = slices.CompactFunc(want, func(a, b wish) bool { return a.key == b.key })
	return &waiter{want: want, left: len(want), done: make(chan struct{})}
}

// of is the wish for a key that x has.
func (x *waiter) of(key softwire.Key) *wish {
	i, _ := slices.BinarySearchFunc(x.want, key, func(w wish, key softwire.Key) int { return w.key.Compare(key) })
	return &x.want[i]
}

func (w *waiters) add(x *waiter) {
	x.fresh = true
	w.fresh = append(w.fresh, x)
	for _, one := range x.want {
		w.byKey[one.key] = append(w.byKey[one.key], x)
	}
}

// remove takes key from x.
func (w *waiters) remove(key softwire.Key, x *waiter) {
	x.of(key).settled = true
	x.left--
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
	if x.left == 0 {
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
	final, err := s.verdict(key, x.of(key).want)
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
		for i := range x.want {
			if !x.want[i].settled {
				w.resolveFor(s, x.want[i].key, x)
			}
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
	want := make([]wish, 0, len(keys))
	for _, key := range keys {
		sw, _ := table.Get(key)
		want = append(want, wish{key: key, want: sw})
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
	// The last put of a key counts, and any before its removal.
	want := make([]wish, 0, len(c.Put)+len(c.Remove))
	for _, sw := range slices.Backward(c.Put) {
		want = append(want, wish{key: sw.Key(), want: sw})
	}
	for _, key := range c.Remove {
		want = append(want, wish{key: key})
	}
	return r.wait(ctx, want)
}

func (r *Reconciler) wait(ctx context.Context, want []wish) error {
	if len(want) == 0 {
		return nil
	}
	x := newWaiter(want)
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
	for _, one := range x.want {
		if one.settled {
			continue
		}
		cause = ctx.Err()
		x.failed = append(x.failed, &KeyError{one.key, r.pendingReason(one.key)})
		r.state.waiters.remove(one.key, x)
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
