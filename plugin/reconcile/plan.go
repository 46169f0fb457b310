package reconcile

import (
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// batch is ops to be sent together, and where each comes from.
type batch struct {
	ops     []dataplane.Op
	objects []*object // nil for what a pass streams
}

func (b *batch) add(op dataplane.Op, o *object) {
	b.ops = append(b.ops, op)
	b.objects = append(b.objects, o)
}

func (b *batch) addObject(o *object) {
	o.phase = sent
	b.add(o.toSend(), o)
}

// plan chooses what to send next: removals first, then single changes, then
// what a pass streams. more reports whether there may be more to send although
// the batch is empty.
func (s *state) plan(now time.Time) (b batch, more bool) {
	s.backlog.release(now)
	room := func() bool { return len(b.ops) < s.config.BatchSize }
	for room() {
		o := s.backlog.removals.pop()
		if o == nil {
			break
		}
		b.addObject(o)
	}
	if s.pass != nil {
		s.planRemovals(&b, room)
	}
	// Removals of a pass are no objects, so what they conflict with is not
	// known: all puts wait for them.
	if s.pass.removalsPending() {
		return b, true
	}
	for room() {
		o := s.backlog.puts.pop()
		if o == nil {
			break
		}
		if !o.clearing && s.backlog.conflicts(o.key()) {
			s.backlog.block(o)
			continue
		}
		b.addObject(o)
	}
	if s.pass != nil {
		s.planPuts(&b, room)
	}
	return b, s.pass != nil && !s.pass.done
}

// planRemovals takes removals from the pass.
func (s *state) planRemovals(b *batch, room func() bool) {
	p := s.pass
	for room() && len(p.removals) > 0 {
		key := p.removals[0]
		p.removals = p.removals[1:]
		// It may have come back since, and a put replaces.
		if _, desired := s.seen.Get(key); desired || s.backlog.byKey[key] != nil {
			continue
		}
		p.removing = true
		b.add(removeOp(key), nil)
	}
}

// planPuts takes puts from the pass.
func (s *state) planPuts(b *batch, room func() bool) {
	p := s.pass
	for range s.limits.scan {
		if !room() || p.done {
			return
		}
		sw, ok := p.next()
		if !ok {
			p.done = true
			return
		}
		key := sw.Key()
		if !p.has(key) {
			continue
		}
		if s.backlog.conflicts(key) {
			s.backlog.block(s.object(putOp(sw), nil))
			continue
		}
		b.add(putOp(sw), nil)
	}
}
