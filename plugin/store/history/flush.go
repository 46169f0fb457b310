package history

import (
	"errors"
	"os"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// flush makes a run of the journal and begins a new one. If it fails, nothing
// has changed. The caller holds writing.
func (l *Log) flush() (err error) {
	if l.recent.len() == 0 {
		return nil
	}
	m := l.manifest
	runNumber, journalNumber := m.Next, m.Next+1
	m.Next += 2
	l.manifest.Next = m.Next // not used again, whatever happens
	r, err := l.writeRun(runNumber, uint64(l.recent.len()), l.recent.writeTo)
	if err != nil {
		return err
	}
	f, w, err := l.newJournal(journalNumber)
	if err != nil {
		return errors.Join(err, l.discard(r))
	}
	old := l.manifest.Journal
	m.Runs = append(slices.Clone(m.Runs), runNumber)
	m.Journal = journalNumber
	m.Sequence, m.Time = l.sequence, l.time
	if m.Since == 0 {
		m.Since = l.recent.records[0].at()
	}
	if err := l.commit(m, journalName(old)); err != nil {
		return errors.Join(err, l.discard(r), f.Close(), l.disk.remove(journalName(journalNumber)))
	}
	// What is wrong with the old one does not matter any more.
	_ = l.file.Close()
	l.file, l.journal = f, w
	l.mu.Lock()
	l.runs = append(slices.Clip(l.runs), r)
	l.recent, l.since = recentOf(l.recent.len()), m.Since
	l.mu.Unlock()
	return l.settle()
}

// writeTo writes all events as a run.
func (m *recent) writeTo(w *runWriter) error {
	all := m.between(blockfile.Position{}, everything)
	for _, r := range all {
		if err := w.addRecord(r); err != nil {
			return err
		}
	}
	for _, c := range sortedClaims(all) {
		if err := w.addClaim(c); err != nil {
			return err
		}
	}
	return nil
}

// writeRun makes a run of what fill adds, and opens it. It is durable, but no
// part of the history yet.
func (l *Log) writeRun(number, events uint64, fill func(*runWriter) error) (_ *run, err error) {
	name := runName(number)
	f, err := l.disk.create(name)
	if err != nil {
		return nil, err
	}
	w := newRunWriter(f, events)
	if err = fill(w); err == nil {
		err = w.finish()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, l.disk.remove(name))
	}
	return openRun(l.disk, number)
}

// discard removes a run that did not become part of the history.
func (l *Log) discard(r *run) error {
	return errors.Join(r.release(), l.disk.remove(r.name))
}

// commit replaces the manifest, and with that the files that are the history.
// Those named garbage are not part of it any more. The caller holds writing.
func (l *Log) commit(m manifest, garbage ...string) error {
	// First the new files must stay, and only then be named.
	if err := l.disk.sync(); err != nil {
		return err
	}
	if err := m.write(l.disk); err != nil {
		return err
	}
	l.manifest = m
	l.unsettled = true
	l.garbage = append(l.garbage, garbage...)
	return nil
}

// settle makes the last commit durable and removes what it replaced. Until then
// nothing is appended: a crash would bring back the manifest before it, and with
// it another journal. The caller holds writing.
func (l *Log) settle() error {
	if l.unsettled {
		if err := l.disk.sync(); err != nil {
			return err
		}
		l.unsettled = false
	}
	for len(l.garbage) > 0 {
		if err := l.disk.remove(l.garbage[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		l.garbage = l.garbage[1:]
	}
	return nil
}
