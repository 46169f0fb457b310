package reconcile

import (
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// start takes the first snapshot of the table.
func (s *state) start(snapshot *softwire.Snapshot, now time.Time) {
	s.seen = snapshot
	s.doubt(now)
	s.blank = true
}

// refresh takes in a later snapshot, which differs from seen by change. It
// reports false if that has to wait for the end of the pass.
func (s *state) refresh(snapshot *softwire.Snapshot, change softwire.Change, now time.Time) bool {
	if len(change.Put)+len(change.Remove) > s.limits.bulk {
		if s.pass != nil {
			s.deferred = true
			return false
		}
		s.refreshByPass(snapshot, change, now)
	} else {
		s.refreshByObjects(snapshot, change, now)
	}
	s.waiters.refreshed(s, change)
	return true
}

// refreshByObjects queues each change by itself.
func (s *state) refreshByObjects(snapshot *softwire.Snapshot, change softwire.Change, now time.Time) {
	for _, key := range change.Remove {
		s.account(key, -1)
		s.pass.settle(key)
		s.backlog.reopen(key.IPv4)
		s.backlog.add(removeOp(key), now)
	}
	for _, sw := range change.Put {
		key := sw.Key()
		replaces := s.mayBeHeld(key)
		s.account(key, 1)
		s.pass.settle(key)
		s.backlog.reopen(sw.IPv4)
		s.backlog.add(putOp(sw), now).replaces = replaces
		delete(s.withheld, key)
	}
	s.seen = snapshot
}

// mayBeHeld reports whether the data plane may hold something for key. It comes
// before anything that a change does.
func (s *state) mayBeHeld(key softwire.Key) bool {
	if o := s.backlog.byKey[key]; o != nil && (o.removal() || o.replaces) {
		return true
	}
	_, had := s.seen.Get(key)
	_, withheld := s.withheld[key]
	// It may also be among the removals of a pass, and then is skipped there.
	return had || withheld || s.pass.removalsPending()
}

// refreshByPass streams the changes. There is no pass yet.
func (s *state) refreshByPass(snapshot *softwire.Snapshot, change softwire.Change, now time.Time) {
	for _, key := range change.Remove {
		s.account(key, -1)
		s.backlog.reopen(key.IPv4)
		s.backlog.drop(s.backlog.byKey[key])
	}
	todo, replaces := newBitset(snapshot.Slots()), newBitset(snapshot.Slots())
	for _, sw := range change.Put {
		key := sw.Key()
		if slot, ok := snapshot.Slot(key); ok {
			todo.add(slot)
			if s.mayBeHeld(key) {
				replaces.add(slot)
			}
		}
		s.account(key, 1)
		s.backlog.reopen(sw.IPv4)
		s.backlog.drop(s.backlog.byKey[key])
		delete(s.withheld, key)
	}
	s.seen = snapshot
	s.pass = newPass(snapshot, todo, replaces, now)
	s.pass.removals = change.Remove
}

// account changes the counts for a key that is put or removed. It comes before
// anything else that the change does.
func (s *state) account(key softwire.Key, n int) {
	_, had := s.seen.Get(key)
	if had && s.counted(key) {
		s.counts.program(key, -1)
	}
	if had != (n > 0) {
		s.counts.desire(key, n)
	}
}

// recount counts for new pools. It may take a second for a large table, and
// only reads.
func (s *state) recount(prefixes []netip.Prefix) *counts {
	c := newCounts(prefixes)
	if s.seen == nil {
		return c
	}
	for sw := range s.seen.All() {
		key := sw.Key()
		c.desire(key, 1)
		if s.counted(key) {
			c.program(key, 1)
		}
	}
	return c
}

// declareComplete allows to remove what the table does not have.
func (s *state) declareComplete(now time.Time) {
	if s.complete {
		return
	}
	s.complete = true
	for key := range s.withheld {
		s.backlog.add(removeOp(key), now)
	}
	s.withheld = nil
	if s.truncated {
		s.read.wanted, s.read.due = true, now
	}
}
