package fake

import (
	"context"
	"iter"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Injected is one packet that was given to Inject.
type Injected struct {
	Side   dataplane.Side
	Packet []byte
}

// Exceptions returns what Divert was given.
func (d *Dataplane) Exceptions(ctx context.Context, into []dataplane.Exception) (int, error) {
	if len(into) == 0 {
		return 0, nil
	}
	select {
	case into[0] = <-d.exceptions:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for n := 1; n < len(into); n++ {
		select {
		case into[n] = <-d.exceptions:
		default:
			return n, nil
		}
	}
	return len(into), nil
}

// Divert queues an exception and reports whether there was room for it.
func (d *Dataplane) Divert(e dataplane.Exception) bool {
	select {
	case d.exceptions <- e:
		return true
	default:
		return false
	}
}

// Inject records a copy of packet.
func (d *Dataplane) Inject(ctx context.Context, side dataplane.Side, packet []byte) error {
	if err := d.enter(ctx, Call{Kind: CallInject}); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.injected = append(d.injected, Injected{side, slices.Clone(packet)})
	return nil
}

// Injected returns what was given to Inject.
func (d *Dataplane) Injected() []Injected {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.injected)
}

// SetCounters says what Counters and SoftwireCounters report.
func (d *Dataplane) SetCounters(c dataplane.Counters, rows ...dataplane.SoftwireCounters) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counters, d.rows = c, rows
}

// Counters reports what SetCounters was given.
func (d *Dataplane) Counters(ctx context.Context) (dataplane.Counters, error) {
	if err := d.enter(ctx, Call{Kind: CallCounters}); err != nil {
		return dataplane.Counters{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.counters
	c.Events = slices.Clone(c.Events)
	return c, nil
}

// SoftwireCounters yields what SetCounters was given.
func (d *Dataplane) SoftwireCounters(ctx context.Context) iter.Seq2[dataplane.SoftwireCounters, error] {
	return func(yield func(dataplane.SoftwireCounters, error) bool) {
		if err := d.enter(ctx, Call{Kind: CallCounters}); err != nil {
			yield(dataplane.SoftwireCounters{}, err)
			return
		}
		d.mu.Lock()
		rows := slices.Clone(d.rows)
		d.mu.Unlock()
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}
