package reconcile

import (
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// settle takes in the results of a batch and returns those that were refused.
func (s *state) settle(b batch, results []dataplane.Result, now time.Time) (refusals []*object) {
	s.totals.Batches++
	s.totals.Ops += uint64(len(b.ops))
	removing := s.pass != nil && s.pass.removing
	if removing {
		s.pass.removing = false
	}
	for i, op := range b.ops {
		key := op.Softwire.Key()
		o := b.objects[i]
		if o == nil {
			s.pass.repaired++
		}
		switch r := results[i]; r.Outcome {
		case dataplane.Programmed:
			s.succeed(op, o)
		case dataplane.Unsupported:
			o = s.object(op, o)
			o.reason = reason(r)
			s.backlog.refuse(o)
			refusals = append(refusals, o)
		default:
			s.totals.Retries++
			o = s.object(op, o)
			o.reason = reason(r)
			o.attempts++
			s.backlog.pause(o, now.Add(s.config.backoff(o.attempts)))
		}
		s.waiters.resolve(s, key)
	}
	if removing && !s.pass.removalsPending() {
		// Keys that the table does not have were in doubt until now.
		s.waiters.resolveAll(s)
	}
	return refusals
}

// succeed ends the wish for op.
func (s *state) succeed(op dataplane.Op, o *object) {
	key := op.Softwire.Key()
	s.backlog.drop(o)
	if op.Kind == dataplane.Remove {
		s.backlog.unblock(key.IPv4)
		return
	}
	s.pass.settle(key)
	s.counts.program(key, 1)
}

// object is o, or a new object for an op of a pass that failed.
func (s *state) object(op dataplane.Op, o *object) *object {
	if o != nil {
		return o
	}
	s.pass.settle(op.Softwire.Key())
	return s.backlog.add(op, s.pass.started)
}

// lost takes in that a batch has no results: nobody knows what was executed.
func (s *state) lost(b batch, err error, now time.Time) {
	s.totals.LostBatches++
	for i, o := range b.objects {
		switch {
		case o != nil:
			s.backlog.queue(o)
		case b.ops[i].Kind == dataplane.Remove:
			s.backlog.add(b.ops[i], now)
		}
		// Puts of the pass are still in its todo, and follow the read back.
	}
	if s.pass != nil {
		s.pass.removing = false
	}
	s.doubt(now)
	s.failedRead(err, now)
}

// failedRead puts the next read back off.
func (s *state) failedRead(err error, now time.Time) {
	s.read.err = err
	s.read.attempts++
	s.read.due = now.Add(s.config.backoff(s.read.attempts))
}

// reason is why an op failed, never nil.
func reason(r dataplane.Result) error {
	if r.Err == nil {
		return fmt.Errorf("the data plane answered %q without a reason", r.Outcome)
	}
	return r.Err
}

// finishPass ends a pass that has nothing left to send. It reports whether that
// was the end of a full sync.
func (s *state) finishPass(now time.Time) (synced bool) {
	p := s.pass
	s.endPass()
	s.deferred = false
	if !p.readback {
		return false
	}
	s.lastSync = now
	s.totals.Syncs++
	if p.repaired == 0 {
		s.read.attempts = 0
		s.lastVerified = now
		return true
	}
	// See that what was mended stays mended: at once the first time, then less
	// and less often, for a data plane that never holds what it says.
	s.read.wanted, s.read.due = true, now
	if s.read.attempts++; s.read.attempts > 1 {
		s.read.due = now.Add(s.config.backoff(s.read.attempts))
	}
	return true
}
