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
	s.read.failures = 0
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
			refusals = append(refusals, o)
			s.refuse(o, reason(r))
		default:
			s.totals.Retries++
			s.putOff(s.object(op, o), reason(r), now)
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
	if o != nil && o.clearing {
		o.replaces = false
		s.backlog.refuse(o)
		return
	}
	s.backlog.drop(o)
	if op.Kind == dataplane.Remove {
		s.backlog.unblock(key.IPv4)
		return
	}
	s.pass.settle(key)
	s.counts.program(key, 1)
}

// refuse takes in that the data plane does not support what o wishes for.
func (s *state) refuse(o *object, reason error) {
	if !o.clearing {
		o.reason = reason
	}
	if o.replaces && !o.clearing {
		s.clear(o)
		return
	}
	s.backlog.refuse(o)
}

// clear removes what a refused put should have replaced: it must not go on
// serving another lwB4.
func (s *state) clear(o *object) {
	o.clearing, o.attempts = true, 0
	s.backlog.queue(o)
}

// object is o, or a new object for an op of a pass that failed.
func (s *state) object(op dataplane.Op, o *object) *object {
	if o != nil {
		return o
	}
	key := op.Softwire.Key()
	s.pass.settle(key)
	o = s.backlog.add(op, s.pass.started)
	o.replaces = s.pass.replacesAt(key)
	return o
}

// lost takes in that a batch has no results: nobody knows what was executed.
// Each op is paused by itself, so that one which brings the data plane down is
// tried less and less often, and in the end alone.
func (s *state) lost(b batch, err error, now time.Time) {
	s.totals.LostBatches++
	if s.pass != nil {
		s.pass.removing = false
	}
	for i, op := range b.ops {
		s.putOff(s.object(op, b.objects[i]), err, now)
	}
	s.doubt(now)
	s.failedRead(err, now)
}

// putOff pauses o after a failure.
func (s *state) putOff(o *object, reason error, now time.Time) {
	if !o.clearing {
		o.reason = reason
	}
	o.attempts++
	s.backlog.pause(o, now.Add(s.config.backoff(o.attempts)))
}

// failedRead puts the next read back off.
func (s *state) failedRead(err error, now time.Time) {
	s.read.err = err
	s.read.failures++
	s.read.due = now.Add(s.config.backoff(s.read.failures))
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
	if p.repaired == 0 && !(s.complete && s.truncated) {
		s.read.mended = 0
		s.lastVerified = now
		return true
	}
	// See that what was mended stays mended: at once the first time, then less
	// and less often, for a data plane that never holds what it says.
	s.read.wanted, s.read.due = true, now
	if s.read.mended++; s.read.mended > 1 {
		s.read.due = now.Add(s.config.backoff(s.read.mended))
	}
	return true
}
