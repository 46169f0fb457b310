package garbage

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestPercent: what piles up is 256 MiB, or else twice what is in use if that is more.
func TestPercent(t *testing.T) {
	for inUse := uint64(0); inUse < 1<<36; inUse = inUse*5/4 + 1 {
		p := percent(inUse)
		piles := inUse * uint64(p) / 100
		switch {
		case inUse < least/16:
			if p != most {
				t.Errorf("%d bytes in use: %d%%, which is not the most", inUse, p)
			}
		case inUse*usual/100 >= least:
			if p != usual {
				t.Errorf("%d bytes in use: %d%%, which is not the usual", inUse, p)
			}
		case piles > least || piles < least*99/100:
			t.Errorf("%d bytes in use: %d pile up", inUse, piles)
		}
	}
}

// TestRun: a small heap is looked at less often while it runs, and as before
// afterwards.
func TestRun(t *testing.T) {
	const before = 150
	defer debug.SetGCPercent(debug.SetGCPercent(before))
	read := func() int {
		p := debug.SetGCPercent(usual)
		debug.SetGCPercent(p)
		return p
	}
	synctest.Test(t, func(t *testing.T) {
		runtime.GC()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- Run(ctx) }()
		time.Sleep(2 * look)
		if p := read(); p < 4*usual {
			t.Errorf("%d%% with %d bytes in use", p, inUse())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if p := read(); p != before {
		t.Errorf("%d%% is left", p)
	}
}
