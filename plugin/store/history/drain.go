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

// drain moves the first events there are.
func drain(ctx context.Context, outbox store.Outbox, sinks []Sink) error {
	encoded, err := outbox.Events(ctx, 0, drainBatch)
	if err != nil {
		return err
	}
	events := make([]Event, 0, len(encoded))
	for _, one := range encoded {
		e, err := ParseEvent(one.Data)
		if err != nil {
			return fmt.Errorf("event %d of the outbox: %w", one.Sequence, err)
		}
		e.Sequence = one.Sequence
		events = append(events, e)
	}
	for _, s := range sinks {
		if err := s.Append(ctx, events); err != nil {
			return err
		}
	}
	if len(encoded) == 0 {
		return nil
	}
	return outbox.Drop(ctx, encoded[len(encoded)-1].Sequence)
}
