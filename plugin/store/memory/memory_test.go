package memory_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/conformance"
	"github.com/lwaftr/lw4o6/plugin/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	conformance.Run(t, func(*testing.T) conformance.Place {
		var kept *memory.Store
		return func(*testing.T) (store.Store, func() error) {
			if kept == nil {
				kept = memory.New()
			} else {
				kept = kept.Restart()
			}
			return kept, func() error { return nil }
		}
	})
}

func TestOnCommit(t *testing.T) {
	s := memory.New()
	fail := store.ErrStorage
	s.OnCommit = func(context.Context, store.Batch) error { return fail }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()

	batch := store.Batch{Events: [][]byte{[]byte("event")}}
	if err := s.Commit(ctx, batch); !errors.Is(err, store.ErrStorage) {
		t.Errorf("Commit: %v, want ErrStorage", err)
	}
	if got := s.Stats(); got.Err == nil || got.Failures != 1 || got.Outbox != 0 {
		t.Errorf("Stats after a failure: %+v", got)
	}
	fail = nil
	if err := s.Commit(ctx, batch); err != nil {
		t.Errorf("Commit: %v", err)
	}
	if got := s.Stats(); got.Err != nil || got.Outbox != 1 {
		t.Errorf("Stats after the failure: %+v", got)
	}
}
