package history

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// Sink keeps events. It skips those that it has, so that each is there once
// however often it is appended. They are durable when Append returns.
type Sink interface {
	Append(ctx context.Context, events []Event) error
}

const (
	drainBatch = 4096                  // events
	drainPause = 50 * time.Millisecond // so that events are moved together
	drainRetry = time.Second           // after a failure
)

// Drain moves the events of a store's outbox to all sinks until ctx ends, and
// then returns nil. An event leaves the outbox when all have it; what fails is
// logged and tried again.
func Drain(ctx context.Context, outbox store.Outbox, log logrus.FieldLogger, sinks ...Sink) error {
	failing := false
	for {
		err := drain(ctx, outbox, sinks)
		pause := drainPause
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failing = false
		default:
			if !failing {
				log.WithError(err).Error("history: events of leases stay in the store's outbox; it is tried again")
			}
			failing, pause = true, drainRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// CatchUp appends to sink what waits in the outbox, where there is something,
// and leaves it there for Drain.
func CatchUp(ctx context.Context, outbox store.Outbox, sink Sink) error {
	for after, more := uint64(0), true; more; {
		events, err := take(ctx, outbox, after)
		if err != nil {
			return err
		}
		if err := sink.Append(ctx, events); err != nil {
			return err
		}
		if more = len(events) == drainBatch; more {
			after = events[len(events)-1].Sequence
		}
	}
	return nil
}

// drain moves the first events there are.
func drain(ctx context.Context, outbox store.Outbox, sinks []Sink) error {
	events, err := take(ctx, outbox, 0)
	if err != nil || len(events) == 0 {
		return err
	}
	for _, s := range sinks {
		if err := s.Append(ctx, events); err != nil {
			return err
		}
	}
	return outbox.Drop(ctx, events[len(events)-1].Sequence)
}

// take reads a batch of events behind the number after, and waits for the first.
func take(ctx context.Context, outbox store.Outbox, after uint64) ([]Event, error) {
	encoded, err := outbox.Events(ctx, after, drainBatch)
	if err != nil {
		return nil, err
	}
	events := make([]Event, 0, len(encoded))
	for _, one := range encoded {
		e, err := ParseEvent(one.Data)
		if err != nil {
			return nil, fmt.Errorf("event %d of the outbox: %w", one.Sequence, err)
		}
		e.Sequence = one.Sequence
		events = append(events, e)
	}
	return events, nil
}
