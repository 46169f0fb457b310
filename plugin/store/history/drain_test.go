package history

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/memory"
)

// sink is a Sink that fails now and then, after it has taken some.
type sink struct {
	r     *rand.Rand
	taken []Event
}

func (s *sink) Append(_ context.Context, events []Event) error {
	fails := s.r.IntN(3) == 0
	for _, e := range events {
		if len(s.taken) > 0 && e.Sequence <= s.taken[len(s.taken)-1].Sequence {
			continue
		}
		if fails && s.r.IntN(10) == 0 {
			return errDisk
		}
		s.taken = append(s.taken, e)
	}
	if fails {
		return errDisk
	}
	return nil
}

// TestDrain: every event reaches every sink once and in order, whatever fails.
func TestDrain(t *testing.T) {
	w := newTestWorld(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := memory.New()
		done := make(chan error, 2)
		go func() { done <- s.Run(ctx) }()
		sinks := []Sink{&sink{r: rand.New(rand.NewPCG(w.r.Uint64(), 1))}, &sink{r: rand.New(rand.NewPCG(w.r.Uint64(), 2))}}
		go func() { done <- Drain(ctx, s, quiet(t), sinks...) }()

		for range 50 {
			var b store.Batch
			for range 1 + w.r.IntN(20) {
				e := w.step()
				data, err := e.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				b.Events = append(b.Events, data)
			}
			if err := s.Commit(ctx, b); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(w.r.IntN(3)) * time.Second)
		}
		time.Sleep(time.Hour)
		if n := s.Stats().Outbox; n != 0 {
			t.Errorf("%d events stay in the outbox", n)
		}
		cancel()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		for i, one := range sinks {
			taken := slices.Clone(one.(*sink).taken)
			for n := range taken {
				if want := uint64(n + 1); taken[n].Sequence != want {
					t.Fatalf("sink %d has event %d as number %d", i, taken[n].Sequence, want)
				}
				taken[n].Sequence = w.events[n].Sequence
			}
			if !slices.Equal(taken, w.events) {
				t.Errorf("sink %d has %d events, want %d", i, len(taken), len(w.events))
			}
		}
	})
}

// TestDrainBad: an event that cannot be read stays where it is.
func TestDrainBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := memory.New()
		done := make(chan error, 2)
		go func() { done <- s.Run(ctx) }()
		go func() { done <- Drain(ctx, s, quiet(t)) }()
		if err := s.Commit(ctx, store.Batch{Events: [][]byte{{eventVersion + 1}}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := s.Stats().Outbox; n != 1 {
			t.Errorf("%d events in the outbox", n)
		}
		cancel()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
	})
}
