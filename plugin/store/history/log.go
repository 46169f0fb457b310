package history

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/store/history/journal"
)

// Config is how a history is kept.
type Config struct {
	// Retention is how long a Hold is kept after its end; 0 for ever. It is
	// measured by the time of the latest event, so that a clock that is wrong
	// cannot empty the history. What is older is deleted at the latest a
	// sixteenth of it later.
	Retention time.Duration
}

// minRetention is the least that makes sense: less would be spent on deleting.
const minRetention = time.Hour

// Validate reports a Config that cannot be.
func (c Config) Validate() error {
	if c.Retention != 0 && c.Retention < minRetention {
		return fmt.Errorf("%s: want at least %s, or 0 to keep everything", c.Retention, minRetention)
	}
	return nil
}

// Log is a history that is written. Its methods may be called from several
// goroutines; one of them calls Run.
type Log struct {
	disk   disk
	lock   io.Closer
	config Config
	log    logrus.FieldLogger
	limits limits
	wake   chan struct{} // there may be something for Run to do

	// writing is held while files change, which can take long. What follows
	// belongs to whoever holds it.
	writing  sync.Mutex
	manifest manifest // as it is written; its Next is ahead of that
	journal  *journal.Writer
	file     file // of the journal
	// unsettled is that a crash may bring back the manifest before this one;
	// garbage are the files that only that one names.
	unsettled bool
	garbage   []string

	// mu is held for moments. What follows changes only while both are held.
	mu       sync.Mutex
	runs     []*run // of the manifest
	recent   recent // of the journal
	since    stamp  // of the manifest
	sequence uint64 // of the last event
	time     stamp  // the same
	failure  error  // of the last thing that was tried in the background
}

// limits are how much is where.
type limits struct {
	events  int   // of the journal, when it becomes a run
	bytes   int64 // the same
	journal int64 // bytes of the journal, when nothing more is taken
	fanIn   int   // runs of about the same size, when they are merged
	retries time.Duration
}

func defaultLimits() limits {
	return limits{events: 1 << 16, bytes: 32 << 20, journal: maxJournal, fanIn: 4, retries: time.Minute}
}

// Limits of the journal.
const (
	maxJournal = 256 << 20 // bytes, if it cannot become a run
	maxFrame   = 4096      // events
)

// ErrFull reports that no events are taken, since the journal could not be made
// a run for a long time; Stats has the reason.
var ErrFull = errors.New("the history takes no events: its journal is full and cannot be emptied")

// View is what the history holds now.
func (l *Log) View() *View {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &View{recent: l.recent, since: l.since}
	for _, r := range l.runs {
		v.runs = append(v.runs, r.retain())
	}
	return v
}

// Close closes the files. Run must have returned.
func (l *Log) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	err := l.closeFiles()
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	return err
}

func (l *Log) closeFiles() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, r := range l.runs {
		errs = append(errs, r.release())
	}
	l.runs = nil
	if l.file != nil {
		errs = append(errs, l.file.Close())
	}
	return errors.Join(errs...)
}
