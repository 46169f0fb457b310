package forwarder

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// idle is an IO without packets.
type idle struct{}

func (idle) Run(ctx context.Context, _ func() *Worker) error {
	<-ctx.Done()
	return nil
}

func (idle) Send(context.Context, dataplane.Side, []byte) error { return nil }

// TestImpede: a forwarder is up while it runs and nothing impedes it, also if that
// was said before.
func TestImpede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := New(DefaultConfig(), idle{})
		if err != nil {
			t.Fatal(err)
		}
		is := func(state dataplane.State, reason string) {
			t.Helper()
			synctest.Wait()
			if h := f.health.Get(); h.State != state || h.Reason != reason {
				t.Errorf("health %+v, want %s: %s", h, state, reason)
			}
		}
		f.Impede("no link")
		is(dataplane.StateDown, "not started")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		is(dataplane.StateDown, "no link")
		f.Impede("")
		is(dataplane.StateUp, "")
		f.Impede("no link again")
		is(dataplane.StateDown, "no link again")
		f.Impede("")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		is(dataplane.StateDown, "stopped")
	})
}
