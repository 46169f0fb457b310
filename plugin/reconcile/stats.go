package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/histogram"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Stats is how far the data plane follows the table.
type Stats struct {
	Dataplane string
	Health    dataplane.Health

	Desired    int // softwires of the table
	Programmed int // of those, what the data plane holds as the table says
	Pending    int // puts and removals that will be sent, or sent again
	Refused    int // puts and removals that the data plane does not support
	Withheld   int // softwires to be removed once the table is complete

	// Read: what the data plane holds was read back, and is known since.
	Read bool
	// Behind: the table has changes that are not counted here yet.
	Behind bool
	// Syncing: a read back is due or its differences are being sent.
	Syncing bool
	// Incarnation is the one that the data plane was last fully synced in, 0 if
	// it is not synced in the present one.
	Incarnation uint64
	// LastSync is the end of the latest full sync of this incarnation.
	LastSync time.Time
	// LastVerified is when a read back of this incarnation last found nothing to
	// mend but what is pending or refused.
	LastVerified time.Time
	// Lag is the age of the oldest pending change.
	Lag time.Duration

	Configured   bool  // the data plane serves the networks
	NetworkError error // why it does not serve the latest ones

	Pools    []Pool    // by address
	Problems []Problem // some of what is pending after a failure, or refused
	Totals   Totals
	// ApplyTimes is how long the data plane took for batches.
	ApplyTimes histogram.Reading
}

// Problem is one softwire that is not in the data plane as asked, and why.
type Problem struct {
	Op       dataplane.Op
	Refused  bool
	Attempts int
	Since    time.Time
	Reason   error
}

// Totals count since New.
type Totals struct {
	Batches     uint64
	LostBatches uint64 // without results
	Ops         uint64
	Retries     uint64 // ops answered with Retryable
	Syncs       uint64
}

// maxProblems bounds Stats.Problems, and maxLooked the search for them.
const (
	maxProblems = 16
	maxLooked   = 4096
)

// Stats returns the present numbers.
func (r *Reconciler) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.state
	all := s.counts.all
	st := Stats{
		Dataplane:    r.dp.Name(),
		Health:       r.health,
		Desired:      all.Desired,
		Programmed:   all.Programmed,
		Pending:      len(s.backlog.byKey) - s.backlog.refused + s.pass.pending(),
		Refused:      s.backlog.refused,
		Withheld:     len(s.withheld),
		Read:         s.seen != nil && !s.unknown && r.health.Incarnation == r.incarnation,
		Behind:       s.seen != r.table.Snapshot(),
		Syncing:      s.unknown || s.pass != nil && s.pass.readback,
		LastSync:     s.lastSync,
		LastVerified: s.lastVerified,
		Lag:          s.lag(time.Now()),
		Configured:   r.network.once && !r.network.changed,
		NetworkError: r.network.err,
		Pools:        slices.Clone(s.counts.pools),
		Totals:       s.totals,
		ApplyTimes:   r.applyTimes.Read(),
	}
	if !s.lastSync.IsZero() && r.health.Incarnation == r.incarnation {
		st.Incarnation = r.incarnation
	}
	looked := 0
	for _, o := range s.backlog.byKey {
		if looked++; looked > maxLooked || len(st.Problems) == maxProblems {
			break
		}
		if o.reason != nil {
			st.Problems = append(st.Problems, Problem{o.op, o.phase == refused, o.attempts, o.since, o.reason})
		}
	}
	slices.SortFunc(st.Problems, func(a, b Problem) int { return a.Op.Softwire.Key().Compare(b.Op.Softwire.Key()) })
	return st
}

// lag is the age of the oldest change that is neither done nor refused.
func (s *state) lag(now time.Time) time.Duration {
	var oldest time.Time
	if s.backlog.ages.first != nil {
		oldest = s.backlog.ages.first.since
	}
	if s.pass.pending() > 0 {
		oldest = earliest(oldest, s.pass.started)
	}
	if oldest.IsZero() {
		return 0
	}
	return now.Sub(oldest)
}

// Problem says why the softwire of key is not in the data plane as the table
// says, and false if it is or nothing went wrong so far.
func (r *Reconciler) Problem(key softwire.Key) (Problem, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.state.backlog.byKey[key]
	if o == nil || o.reason == nil {
		return Problem{}, false
	}
	return Problem{o.op, o.phase == refused, o.attempts, o.since, o.reason}, true
}

// progress lets callers wait for Stats to change.
type progress struct {
	generation uint64
	changed    chan struct{} // closed, and replaced, when generation grows
}

// made is called with the Reconciler's lock held.
func (p *progress) made() {
	p.generation++
	close(p.changed)
	p.changed = make(chan struct{})
}

// WaitProgress blocks until Stats may have changed since the generation known,
// and returns the new generation, or the context's error. 0 asks for the present
// generation.
func (r *Reconciler) WaitProgress(ctx context.Context, known uint64) (uint64, error) {
	for {
		r.mu.Lock()
		generation, changed := r.progress.generation, r.progress.changed
		r.mu.Unlock()
		if generation != known {
			return generation, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// loggedRefusals bounds the lines about refused ops of one batch.
const loggedRefusals = 3

func (r *Reconciler) logRefusals(refusals []*object) {
	for i, o := range refusals {
		log := r.log.WithError(o.reason).WithFields(logrus.Fields{"op": o.op.Kind, "softwire": o.key()})
		if i == loggedRefusals {
			log.WithField("more", len(refusals)-i-1).Error("the data plane refuses this and others; see the status")
			return
		}
		log.Error("the data plane refuses a softwire")
	}
}

func (r *Reconciler) logRead(h held) {
	r.log.WithFields(logrus.Fields{
		"right": h.counts.all.Programmed, "missing": h.missing, "extra": len(h.extra),
		"withheld": len(r.state.withheld), "incarnation": r.incarnation,
	}).Info("read back")
}

func (r *Reconciler) logSync() {
	s := &r.state
	r.log.WithFields(logrus.Fields{
		"softwires": s.counts.all.Desired, "programmed": s.counts.all.Programmed,
		"refused": s.backlog.refused, "verified": !s.lastVerified.IsZero(), "incarnation": r.incarnation,
	}).Info("synced")
}
