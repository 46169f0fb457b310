package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// extraLimit bounds what is remembered of softwires that are not desired.
const extraLimit = 65536

// held is what was read back.
type held struct {
	snapshot *softwire.Snapshot // what it was compared with
	// todo has the slots of the softwires that are not as desired, left of them.
	todo      bitset
	left      int
	counts    *counts        // programmed: those that are as desired
	extra     []softwire.Key // held, but not desired
	truncated bool           // there are more extra ones
}

// adopt takes in what was read back and starts the pass that mends it.
func (s *state) adopt(h held, now time.Time) {
	removals := s.unsentRemovals()
	s.endPass()
	extra := make(map[softwire.Key]struct{}, len(h.extra))
	for _, key := range h.extra {
		extra[key] = struct{}{}
	}
	p := newPass(h.snapshot, h.todo, h.left, removals, now)
	p.readback = true
	for _, o := range s.backlog.byKey {
		key := o.key()
		_, isExtra := extra[key]
		switch {
		case o.removal() && !isExtra && !h.truncated:
			// It is gone already.
			s.backlog.drop(o)
			s.backlog.unblock(key.IPv4)
		case !o.removal() && !p.has(key):
			// It is there already.
			s.backlog.drop(o)
		default:
			// It stays an object, with its pauses.
			p.settle(key)
			delete(extra, key)
		}
	}
	s.withheld = nil
	if s.complete {
		for key := range extra {
			p.removals = append(p.removals, key)
		}
	} else {
		s.withheld = extra
	}
	s.counts.programmedAs(h.counts)
	s.pass = p
	s.unknown, s.blank = false, false
	s.read.wanted, s.read.err = false, nil
	if h.truncated {
		// The rest of them comes up in the next read back.
		p.repaired++
	}
	s.waiters.resolveAll(s)
}

// unsentRemovals are those of a pass that is overtaken. They were asked for, so
// they do not wait for the table to be complete.
func (s *state) unsentRemovals() []softwire.Key {
	if s.pass == nil {
		return nil
	}
	return s.pass.removals
}

// readBack compares what dp holds with snapshot.
func readBack(ctx context.Context, dp Dataplane, snapshot *softwire.Snapshot, c *counts) (held, error) {
	h := held{snapshot: snapshot, counts: c}
	right := newBitset(snapshot.Slots())
	for sw, err := range dp.Softwires(ctx) {
		if err != nil {
			return held{}, fmt.Errorf("reading back softwires: %w", err)
		}
		key := sw.Key()
		want, desired := snapshot.Get(key)
		switch {
		case !desired && len(h.extra) < extraLimit:
			h.extra = append(h.extra, key)
		case !desired:
			h.truncated = true
		case want == sw:
			if slot, ok := snapshot.Slot(key); ok && right.add(slot) {
				c.program(key, 1)
			}
		}
	}
	// A data plane may end early without a word.
	if err := ctx.Err(); err != nil {
		return held{}, fmt.Errorf("reading back softwires: %w", err)
	}
	h.todo = newBitset(snapshot.Slots())
	for sw := range snapshot.All() {
		if slot, ok := snapshot.Slot(sw.Key()); ok && !right.has(slot) && h.todo.add(slot) {
			h.left++
		}
	}
	return h, nil
}
