package history

import "time"

// Stats is what there is of a history.
type Stats struct {
	Runs    int
	Records uint64 // in runs: Holds, and the ends of such that are in an older run
	Journal int    // events in the journal
	Bytes   int64  // of runs
	// Sequence and Latest are of the last event that is durable here; Since is
	// from when on the history is complete.
	Sequence uint64
	Latest   time.Time
	Since    time.Time
	// Err is why the last attempt to make a run of the journal failed.
	Err error
}

// Stats counts what there is. It does not wait for the disk.
func (l *Log) Stats() Stats {
	v := l.View()
	// Closing files that were read only cannot lose anything.
	defer func() { _ = v.Close() }()
	s := Stats{Runs: len(v.runs), Journal: v.recent.len(), Since: v.Since()}
	for _, r := range v.runs {
		s.Records += r.about.Records
		s.Bytes += r.size
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Sequence, s.Latest, s.Err = l.sequence, l.time.time(), l.failure
	return s
}
