package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// held is what was read back.
type held struct {
	snapshot  *softwire.Snapshot // what it was compared with
	todo      bitset             // slots of softwires that are not as desired
	replaces  bitset             // of these: where something else is held
	counts    *counts            // programmed: those that are as desired
	extra     []softwire.Key     // held, but not desired
	truncated bool               // there are more extra ones
	missing   int                // slots in todo
}

// adopt takes in what was read back and starts the pass that mends it.
func (s *state) adopt(h held, now time.Time) {
	removals := s.unsentRemovals()
	s.endPass()
	extra := make(map[softwire.Key]struct{}, len(h.extra))
	for _, key := range h.extra {
		extra[key] = struct{}{}
	}
	p := newPass(h.snapshot, h.todo, h.replaces, now)
	p.readback, p.removals = true, removals
	for _, key := range removals {
		delete(extra, key)
	}
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
			o.replaces = !o.removal() && p.replacesAt(key)
			if o.phase == refused && o.replaces {
				s.clear(o)
			}
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
	if s.blank {
		s.counts.found()
	}
	s.pass = p
	s.unknown, s.blank = false, false
	s.read.wanted, s.read.err = false, nil
	s.truncated = h.truncated
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

// readBack compares what dp holds with the table. It changes nothing.
func (s *state) readBack(ctx context.Context, dp Dataplane) (held, error) {
	snapshot := s.seen
	h := held{
		snapshot: snapshot, counts: s.counts.empty(),
		todo: newBitset(snapshot.Slots()), replaces: newBitset(snapshot.Slots()),
	}
	right := newBitset(snapshot.Slots())
	for sw, err := range dp.Softwires(ctx) {
		if err != nil {
			return held{}, fmt.Errorf("reading back softwires: %w", err)
		}
		key := sw.Key()
		slot, desired := snapshot.Slot(key)
		switch want, _ := snapshot.Get(key); {
		case !desired && len(h.extra) < s.limits.extra:
			h.extra = append(h.extra, key)
		case !desired:
			h.truncated = true
		case want != sw:
			h.replaces.add(slot)
		case right.add(slot):
			h.counts.program(key, 1)
		}
	}
	// A data plane may end early without a word.
	if err := ctx.Err(); err != nil {
		return held{}, fmt.Errorf("reading back softwires: %w", err)
	}
	for sw := range snapshot.All() {
		if slot, ok := snapshot.Slot(sw.Key()); ok && !right.has(slot) {
			h.todo.add(slot)
			h.missing++
		}
	}
	return h, nil
}
