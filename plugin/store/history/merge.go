package history

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// Run merges runs and deletes what is older than the retention, until ctx ends,
// and then returns nil. What fails is logged and tried again.
func (l *Log) Run(ctx context.Context) error {
	for {
		did, err := l.tidy(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var again <-chan time.Time
		if err != nil {
			l.log.WithError(err).Error("history: cannot merge; it is tried again")
			again = time.After(l.limits.retries)
		}
		if did {
			continue
		}
		wake := l.wake
		if err != nil {
			wake = nil // a full disk is not asked again at every event
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-again:
		}
	}
}

// tidy makes one merge if one is due, and reports whether it did.
func (l *Log) tidy(ctx context.Context) (did bool, err error) {
	l.writing.Lock()
	job, err := l.nextMerge()
	l.writing.Unlock()
	if job == nil || err != nil {
		return false, err
	}
	err = l.merge(ctx, job)
	for _, r := range job.runs {
		err = errors.Join(err, r.release())
	}
	return err == nil, err
}

// merge is one to be made: of runs that are neighbours.
type merge struct {
	runs   []*run // retained; the oldest first
	number uint64 // of the run they become
	// cutoff is the time before which Holds must have ended to be left out; only
	// if runs are all there are, for an end in a later one needs its start.
	cutoff stamp
}

// nextMerge is the merge that is due, nil if none is. The caller holds writing.
func (l *Log) nextMerge() (*merge, error) {
	job := &merge{cutoff: l.cutoffDue()}
	due := neighbours
	if job.cutoff != 0 {
		// Holds in the journal can be that old, too.
		if err := l.flush(); err != nil {
			return nil, err
		}
		due = func(all []*run, _ limits) []*run { return all }
	}
	for _, r := range due(l.runs, l.limits) {
		job.runs = append(job.runs, r.retain())
	}
	if job.runs == nil {
		return nil, nil
	}
	job.number = l.manifest.Next
	l.manifest.Next++
	return job, nil
}

// cutoffDue is the time before which Holds are to be deleted now; 0 if none are.
func (l *Log) cutoffDue() stamp {
	keep := stamp(l.config.Retention.Milliseconds())
	since := l.manifest.Since
	if keep == 0 || since == 0 || l.time < since+keep+keep/16 {
		return 0
	}
	return l.time - keep
}

// neighbours finds runs that are due for a merge: as many as fanIn, side by side
// and of the same level. Of more than that it takes the oldest, so that the
// levels of all runs descend from the oldest on.
func neighbours(runs []*run, c limits) []*run {
	level := func(r *run) (n int) {
		for size := r.about.Events; size >= uint64(c.events*c.fanIn); size /= uint64(c.fanIn) {
			n++
		}
		return n
	}
	from := 0
	for i, r := range runs {
		if level(r) != level(runs[from]) {
			from = i
		}
		if i+1-from == c.fanIn {
			return runs[from : i+1]
		}
	}
	return nil
}

// merge makes one run of several and puts it in their place.
func (l *Log) merge(ctx context.Context, job *merge) error {
	var events uint64
	var garbage []string
	for _, r := range job.runs {
		events += r.about.Events
		garbage = append(garbage, r.name)
	}
	made, err := l.writeRun(job.number, events, func(w *runWriter) error {
		if err := job.records(ctx, w); err != nil {
			return err
		}
		return job.claims(ctx, w)
	})
	if err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	// Only the end of the list can have changed meanwhile.
	from := slices.Index(l.runs, job.runs[0])
	to := from + len(job.runs)
	m := l.manifest
	m.Runs = slices.Concat(m.Runs[:from], []uint64{made.number}, m.Runs[to:])
	m.Since = max(m.Since, job.cutoff)
	if err := l.commit(m, garbage...); err != nil {
		return errors.Join(err, l.discard(made))
	}
	l.mu.Lock()
	l.runs = slices.Concat(l.runs[:from], []*run{made}, l.runs[to:])
	l.since = m.Since
	l.mu.Unlock()
	var errs []error
	for _, r := range job.runs {
		errs = append(errs, r.release())
	}
	return errors.Join(append(errs, l.settle())...)
}

// records writes the records of all runs, ends joined to their starts.
func (j *merge) records(ctx context.Context, w *runWriter) error {
	var in merged[*record]
	for _, r := range j.runs {
		s, err := newSection[*record](r, sectionRecords, &records{}, blockfile.Position{}, everything)
		if err != nil {
			return err
		}
		in.sources = append(in.sources, s)
	}
	var failed error
	n := 0
	err := joined(&in, func(r *record) bool {
		if n++; n%checkEvery == 0 {
			failed = ctx.Err()
		}
		if failed == nil && (r.end.at == 0 || r.end.at >= j.cutoff) {
			failed = w.addRecord(r)
		}
		return failed == nil
	})
	return errors.Join(err, failed)
}

// claims writes the claims of all runs, each subscriber and key once.
func (j *merge) claims(ctx context.Context, w *runWriter) error {
	var in merged[*claim]
	for _, r := range j.runs {
		s, err := newSection[*claim](r, sectionClaims, &claimReader{}, blockfile.Position{}, everything)
		if err != nil {
			return err
		}
		in.sources = append(in.sources, s)
	}
	var last claim
	have := false
	keep := func() error {
		if !have || last.last != 0 && last.last < j.cutoff {
			return nil
		}
		return w.addClaim(&last)
	}
	for n := 1; ; n++ {
		c, err := in.next()
		if err != nil {
			return err
		}
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		// The last of several is of the newest run, and still true.
		if c == nil || have && c.position() != last.position() {
			if err := keep(); err != nil {
				return err
			}
		}
		if c == nil {
			return nil
		}
		last, have = *c, true
	}
}
