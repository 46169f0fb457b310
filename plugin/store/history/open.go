package history

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/store/history/journal"
)

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
	l.manifest = manifest{Version: manifestVersion, Next: 1}
	for _, name := range names {
		if ours(name) && name != manifestTemp && !l.begun(name) {
			return fmt.Errorf("%w: %s is there, but no %s", ErrCorrupt, name, manifestName)
		}
	}
	if l.file, l.journal, err = l.newJournal(0); err != nil {
		return err
	}
	if err := errors.Join(l.disk.sync(), l.manifest.write(l.disk)); err != nil {
		return err
	}
	return l.disk.sync()
}

// begun reports whether a file is what a crash left of the making of a history:
// its first journal, without events.
func (l *Log) begun(name string) bool {
	if name != journalName(0) {
		return false
	}
	empty := true
	_, err := readJournal(l.disk, l.manifest, func(Event) { empty = false })
	return empty && err == nil
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
