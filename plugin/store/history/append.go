package history

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/store/history/journal"
)

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
	var payload, body []byte
	added := make([]Event, 0, len(events))
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
		var err error
		if body, err = e.AppendBinary(body[:0]); err != nil {
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
