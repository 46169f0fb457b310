package history

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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

// Open opens the history in a folder for writing, and makes an empty one if
// there is none. The error wraps ErrLocked if another process writes it, and
// ErrCorrupt if it is damaged: then nothing is changed.
func Open(path string, c Config, log logrus.FieldLogger) (*Log, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("history: retention %w", err)
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	d := folder{path, os.O_RDWR}
	lock, err := d.lock()
	if err != nil {
		return nil, err
	}
	l, err := open(d, c, log, defaultLimits())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("history %s: %w", path, err), lock.Close())
	}
	l.lock = lock
	return l, nil
}

// open opens a history whose folder is locked.
func open(d disk, c Config, log logrus.FieldLogger, limits limits) (_ *Log, err error) {
	l := &Log{disk: d, config: c, log: log, limits: limits, wake: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.closeFiles())
		}
	}()
	l.manifest, err = readManifest(d)
	if errors.Is(err, os.ErrNotExist) {
		return l, l.create()
	}
	if err != nil {
		return l, err
	}
	for _, n := range l.manifest.Runs {
		r, err := openRun(d, n)
		if err != nil {
			return l, err
		}
		l.runs = append(l.runs, r)
	}
	return l, l.recover()
}

// recover takes over the journal that the last writer left.
func (l *Log) recover() error {
	l.sequence, l.time, l.since = l.manifest.Sequence, l.manifest.Time, l.manifest.Since
	good, err := readJournal(l.disk, l.manifest, l.remember)
	if err != nil {
		return err
	}
	if l.file, err = l.disk.open(journalName(l.manifest.Journal)); err != nil {
		return err
	}
	l.journal = journal.NewWriter(l.file, good)
	// What is there was written, but is not known to be durable.
	if err := errors.Join(l.journal.Sync(), l.disk.sync()); err != nil {
		return err
	}
	return l.sweep()
}

// sweep removes what a crash left behind.
func (l *Log) sweep() error {
	names, err := l.disk.list()
	if err != nil {
		return err
	}
	used := l.manifest.files()
	for _, name := range names {
		if ours(name) && !slices.Contains(used, name) {
			if err := l.disk.remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// create makes an empty history. Files of one whose manifest is gone are not
// overwritten.
func (l *Log) create() error {
	names, err := l.disk.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if ours(name) && name != manifestTemp && name != journalName(0) {
			return fmt.Errorf("%w: %s is there, but no %s", ErrCorrupt, name, manifestName)
		}
	}
	l.manifest = manifest{Version: manifestVersion, Next: 1}
	if l.file, l.journal, err = l.newJournal(0); err != nil {
		return err
	}
	if err := errors.Join(l.disk.sync(), l.manifest.write(l.disk)); err != nil {
		return err
	}
	return l.disk.sync()
}

// newJournal makes an empty journal.
func (l *Log) newJournal(number uint64) (file, *journal.Writer, error) {
	f, err := l.disk.create(journalName(number))
	if err != nil {
		return nil, nil, err
	}
	w := journal.NewWriter(f, 0)
	if err := w.Sync(); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, w, nil
}

// remember keeps an event of the journal in memory.
func (l *Log) remember(e Event) {
	l.recent.add(e)
	l.sequence, l.time = e.Sequence, stampOf(e.Time)
}

// Append adds events, in the order of their sequences; it skips those that are
// there already. They are durable when it returns. After an error those before
// the one that failed are there. The error wraps ErrEvent, ErrFull, or is that
// of the disk.
func (l *Log) Append(ctx context.Context, events []Event) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for len(events) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(events), maxFrame)
		if err := l.append(events[:n]); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		events = events[n:]
	}
	return nil
}

// append adds the events of one frame.
func (l *Log) append(events []Event) error {
	if err := l.settle(); err != nil {
		return err
	}
	var payload []byte
	var added []Event
	last, at := l.sequence, l.time
	for _, e := range events {
		if e.Sequence <= l.sequence {
			continue
		}
		if e.Sequence <= last {
			return fmt.Errorf("%w: sequence %d behind %d", ErrEvent, e.Sequence, last)
		}
		// Order by time must be order by sequence.
		if stampOf(e.Time) < at && !e.Time.IsZero() {
			e.Time = at.time()
		}
		last, at = e.Sequence, stampOf(e.Time)
		body, err := e.AppendBinary(nil)
		if err != nil {
			return err
		}
		payload = appendEvent(payload, e.Sequence, body)
		added = append(added, e)
	}
	if len(added) == 0 {
		return nil
	}
	if l.journal.Size()+int64(len(payload)) > l.limits.journal {
		return errors.Join(ErrFull, l.failure)
	}
	if err := l.journal.Append(payload); err != nil {
		return err
	}
	l.mu.Lock()
	for _, e := range added {
		l.remember(e)
	}
	l.mu.Unlock()
	if l.recent.len() >= l.limits.events || l.journal.Size() >= l.limits.bytes {
		// The events are durable. That they stay in the journal is a worry for
		// later.
		l.background(l.flush())
	}
	l.wakeUp()
	return nil
}

// background keeps the outcome of what nobody waits for.
func (l *Log) background(err error) {
	if err != nil && l.failure == nil {
		l.log.WithError(err).Error("history: cannot make a run; it is tried again")
	}
	l.mu.Lock()
	l.failure = err
	l.mu.Unlock()
}

func (l *Log) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// appendEvent appends an encoded event to the payload of a frame.
func appendEvent(b []byte, sequence uint64, body []byte) []byte {
	b = binary.AppendUvarint(b, sequence)
	return append(binary.AppendUvarint(b, uint64(len(body))), body...)
}

// parseEvents calls each with the events of a frame. The error wraps ErrCorrupt.
func parseEvents(payload string, each func(Event) error) error {
	in := fields{rest: payload}
	for in.rest != "" {
		sequence := in.uvarint()
		body := in.text(journal.MaxPayload)
		e, err := parseEvent(body)
		if in.bad || err != nil {
			return errors.Join(fmt.Errorf("%w: a frame that has no events", ErrCorrupt), err)
		}
		e.Sequence = sequence
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// Sequence is that of the last event that is durable here; 0 if there is none.
// The store's outbox must not give a new event this number or a lower one.
func (l *Log) Sequence() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sequence
}

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
