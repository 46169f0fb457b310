package delegation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// Commit makes everything that the session has changed durable. After an error the
// client has what it had, extended as far as that is durable already; what could
// not be told to be durable or not is kept from others. The error is one of the
// store.
func (s *Session) Commit(ctx context.Context) error {
	values, done := s.Pending()
	if len(values) > 0 {
		err := s.k.store.Commit(ctx, store.Batch{Values: values})
		done(err)
		if err != nil {
			s.failed(errors.Is(err, store.ErrInDoubt))
			return err
		}
	}
	k := s.k
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range s.journal.changes {
		k.count(c)
	}
	s.end()
	return nil
}

// Pending is what Commit would put into the store now, for somebody who puts it
// there together with something else, and then, before the session changes anything
// more, calls done with the outcome. After an error Commit puts it there.
func (s *Session) Pending() (values []store.Value, done func(error)) {
	k := s.k
	k.mu.Lock()
	defer k.mu.Unlock()
	var durable []*change
	for _, c := range s.journal.changes {
		if _, doubtful := k.doubtful[keyOf(c.after.Prefix)]; doubtful || c.durable() {
			durable = append(durable, c)
			values = append(values, c.value())
		}
	}
	if len(durable) == 0 {
		return nil, func(error) {}
	}
	now := floor(k.clock.Now())
	if now.After(k.saved) {
		values = append(values, timeValue(now))
	}
	return values, func(err error) { k.done(durable, now, err) }
}

// done notes what became of changes that were to be stored, with the time now.
func (k *Keeper) done(changes []*change, now time.Time, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && now.After(k.saved) {
		k.saved = now
	}
	for _, c := range changes {
		switch {
		case err == nil:
			stored := c.after
			c.stored = &stored
			delete(k.doubtful, keyOf(c.after.Prefix))
		case errors.Is(err, store.ErrInDoubt):
			k.doubtful[keyOf(c.after.Prefix)] = struct{}{}
		}
	}
}

// failed takes back changes that are not durable, or, in doubt, perhaps not.
func (s *Session) failed(doubt bool) {
	k := s.k
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range slices.Backward(s.journal.changes) {
		if !doubt || !c.durable() || extends(c.base(), c.after) {
			k.book.revert(c)
		}
	}
	s.end()
}

// end forgets the changes of the session, which are stored or taken back. The lock
// is held.
func (s *Session) end() {
	for _, c := range s.journal.changes {
		s.k.book.settle(c.after.Prefix, &s.journal)
	}
	s.journal.changes = nil
}

// count counts a durable change. The lock is held.
func (k *Keeper) count(c *change) {
	switch {
	case c.extends():
		k.stats.Extended++
	case c.after.State == Bound:
		k.stats.Granted++
		if due, _ := k.book.Due(); due.Equal(c.after.Expires) {
			k.nudge() // Run may sleep for longer
		}
	case c.before.State == Bound && c.before.Expires.After(k.clock.Now()):
		k.stats.Released++
	case c.before.State == Bound:
		k.stats.Expired++
	}
}

// Close ends the session and takes back what was not committed.
func (s *Session) Close() {
	k := s.k
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range slices.Backward(s.journal.changes) {
		k.book.revert(c)
	}
	s.end()
	delete(k.busy, s.client)
	for _, other := range s.others {
		delete(k.busy, other)
	}
	close(s.done)
	// Run passes over those that are busy.
	if len(k.book.owing) > 0 {
		k.nudge()
	}
}
