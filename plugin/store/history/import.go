package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Import adds Holds that were recorded elsewhere. They come in the order of
// their Keys and Starts, have ended, and are later than everything that is
// there. What subscribers claim is sorted in memory. After an error nothing has
// changed; it wraps ErrEvent if a Hold is not like that.
func (l *Log) Import(ctx context.Context, holds iter.Seq[Hold]) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := errors.Join(l.settle(), l.flush()); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	number := l.manifest.Next
	l.manifest.Next++
	var all imported
	made, err := l.writeRun(number, 0, func(w *runWriter) error { return all.writeTo(ctx, w, holds, l.time) })
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	m := l.manifest
	m.Runs = append(slices.Clone(m.Runs), number)
	m.Time = max(m.Time, made.about.Last)
	if m.Since == 0 {
		m.Since = made.about.First
	}
	if err := l.commit(m); err != nil {
		return errors.Join(err, l.discard(made))
	}
	l.mu.Lock()
	l.runs = append(slices.Clip(l.runs), made)
	l.since, l.time = m.Since, m.Time
	l.mu.Unlock()
	l.wakeUp()
	return l.settle()
}

// imported is what an import claims.
type imported struct {
	claims []claim
	key    int // where the claims of the last key begin
}

// writeTo writes holds that begin at after or later.
func (m *imported) writeTo(ctx context.Context, w *runWriter, holds iter.Seq[Hold], after stamp) error {
	n := uint64(0)
	for h := range holds {
		if n++; n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r, err := recordOfHold(h)
		if err != nil {
			return err
		}
		if r.start.at < after || r.key == w.record.key && r.start.at < w.record.end.at {
			return fmt.Errorf("hold of %s from %s: %w: there are later ones", h.Key, h.Start.Time, ErrEvent)
		}
		if err := w.addRecord(&r); err != nil {
			return fmt.Errorf("%w: %w", ErrEvent, err)
		}
		r.claims(m.add)
	}
	w.about.Events = 2 * n
	slices.SortFunc(m.claims, func(a, b claim) int { return a.position().Compare(b.position()) })
	for i := range m.claims {
		if err := w.addClaim(&m.claims[i]); err != nil {
			return err
		}
	}
	return nil
}

// add keeps a claim; of those of one key, the last that is the same.
func (m *imported) add(c claim) {
	if n := len(m.claims); n > 0 && m.claims[n-1].key != c.key {
		m.key = n
	}
	for i := m.key; i < len(m.claims); i++ {
		if m.claims[i].prefix == c.prefix {
			m.claims[i].last = c.last
			return
		}
	}
	m.claims = append(m.claims, c)
}

// recordOfHold is h as files have it. The error wraps ErrEvent.
func recordOfHold(h Hold) (record, error) {
	for _, one := range []Edge{h.Start, h.End} {
		e := Event{Time: one.Time, Kind: one.Kind, Key: h.Key, Holder: h.Holder, Reason: one.Reason}
		if err := e.Validate(); err != nil {
			return record{}, err
		}
	}
	r := record{
		key:    packKey(h.Key),
		start:  edge{stampOf(h.Start.Time), h.Start.Kind, h.Start.Reason},
		end:    edge{stampOf(h.End.Time), h.End.Kind, h.End.Reason},
		Holder: h.Holder,
	}
	if !r.start.kind.Begins() || r.end.at < r.start.at {
		return record{}, fmt.Errorf("hold of %s from %s to %s: %w", h.Key, h.Start.Time, h.End.Time, ErrEvent)
	}
	return r, nil
}
