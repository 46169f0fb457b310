package conformance

import (
	"context"
	"errors"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// events is a batch with the events first to last.
func events(first, last int) store.Batch {
	var b store.Batch
	for n := first; n <= last; n++ {
		b.Events = append(b.Events, nameOf(n))
	}
	return b
}

func outboxOrder(t *testing.T, place Place) {
	s, _ := start(t, place)
	commit(t, s, events(1, 300))
	commit(t, s, events(301, 600))
	var after uint64
	for n := 1; n <= 600; {
		got, err := s.Events(t.Context(), after, 7)
		if err != nil {
			t.Fatalf("Events: %v", err)
		}
		if len(got) == 0 || len(got) > 7 {
			t.Fatalf("Events: %d, want 1 to 7", len(got))
		}
		for _, e := range got {
			if e.Sequence <= after || string(e.Data) != string(nameOf(n)) {
				t.Fatalf("Events: %q with the number %d after %d, want %q", e.Data, e.Sequence, after, nameOf(n))
			}
			after = e.Sequence
			n++
		}
	}
}

func outboxWaits(t *testing.T, place Place) {
	s, _ := start(t, place)
	type answer struct {
		events []store.Event
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		got, err := s.Events(t.Context(), 0, 10)
		answers <- answer{got, err}
	}()
	commit(t, s, store.Batch{Values: []store.Value{value("a", "1")}})
	commit(t, s, events(1, 1))
	first := <-answers
	if first.err != nil || len(first.events) != 1 || string(first.events[0].Data) != string(nameOf(1)) {
		t.Fatalf("Events: %v, %v", first.events, first.err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		got, err := s.Events(ctx, first.events[0].Sequence, 10)
		answers <- answer{got, err}
	}()
	cancel()
	if got := <-answers; !errors.Is(got.err, context.Canceled) {
		t.Errorf("Events: %v, %v, want the context's error", got.events, got.err)
	}
}

func outboxSurvives(t *testing.T, place Place) {
	s, stop := start(t, place)
	commit(t, s, events(1, 10))
	got, err := s.Events(t.Context(), 0, 4)
	if err != nil || len(got) != 4 {
		t.Fatalf("Events: %v, %v", got, err)
	}
	drop := func(upTo uint64) {
		t.Helper()
		if err := s.Drop(t.Context(), upTo); err != nil {
			t.Fatalf("Drop: %v", err)
		}
	}
	drop(got[3].Sequence)
	s, stop = restart(t, place, stop)
	want := newContent()
	want.do(events(5, 10))
	want.check(t, s)

	// Numbers are not given out twice, also when nothing is left of the old ones.
	all, err := s.Events(t.Context(), 0, 10)
	if err != nil || len(all) != 6 {
		t.Fatalf("Events: %v, %v", all, err)
	}
	drop(all[5].Sequence)
	drop(all[5].Sequence)
	s, _ = restart(t, place, stop)
	newContent().check(t, s)
	commit(t, s, events(11, 11))
	next, err := s.Events(t.Context(), 0, 10)
	if err != nil || len(next) != 1 || next[0].Sequence <= all[5].Sequence {
		t.Errorf("Events: %v, %v, want one after %d", next, err, all[5].Sequence)
	}
	// Who asks after a number knows what was before.
	next, err = s.Events(t.Context(), all[5].Sequence, 10)
	if err != nil || len(next) != 1 {
		t.Errorf("Events after %d: %v, %v", all[5].Sequence, next, err)
	}
}
