package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// ErrForeign reports a file that is no event log.
var ErrForeign = errors.New("not an event log; move it away, or name another file")

// Log is the log that is written. Its methods may be called from several
// goroutines.
type Log struct {
	config  Config
	maxSize int64

	mu   sync.Mutex
	file *os.File // nil after a failure: what it holds is not known
	size int64
	last mark
}

// Open opens the log, and begins it if there is none. The error wraps
// ErrForeign if the file is something else.
func Open(c Config) (*Log, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	l := &Log{config: c, maxSize: int64(c.MaxSize) << 20}
	if err := l.reopen(); err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	return l, nil
}

// Append writes events, in the order of their sequences; it skips those that
// are there already. They are durable when it returns.
func (l *Log) Append(ctx context.Context, events []history.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.append(events); err != nil {
		if l.file != nil {
			// It is read again before the next event.
			err = errors.Join(err, l.file.Close())
			l.file = nil
		}
		return fmt.Errorf("event log: %w", err)
	}
	return nil
}

func (l *Log) append(events []history.Event) error {
	if l.file == nil {
		if err := l.reopen(); err != nil {
			return err
		}
	}
	var lines []byte
	last := l.last
	for _, e := range events {
		if e.Sequence <= last.sequence {
			continue
		}
		var err error
		if lines, err = appendLine(lines, e); err != nil {
			return err
		}
		last = mark{e.Time, e.Sequence}
	}
	if len(lines) == 0 {
		return nil
	}
	if l.size > 0 && l.size+int64(len(lines)) > l.maxSize {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if _, err := l.file.WriteAt(lines, l.size); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.size += int64(len(lines))
	l.last = last
	return nil
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// reopen opens the file, cuts off half a line and finds the last event.
func (l *Log) reopen() error {
	f, err := os.OpenFile(l.config.Path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	size, last, err := tail(f)
	if err == nil && size == 0 {
		last, err = l.rotated()
	}
	if err == nil {
		// What is there may not be durable yet.
		err = errors.Join(f.Truncate(size), f.Sync(), syncFolder(l.config.Path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size, l.last = f, size, last
	return nil
}
