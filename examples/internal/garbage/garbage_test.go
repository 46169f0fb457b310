package garbage

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestPercent: as much piles up as is taken in four seconds, but what is in use at
// least, and 256 MiB or twice that at most.
func TestPercent(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		inUse, taken uint64 // in MiB
		percent      int
	}{
		{50, 0, 100},
		{50, 1, 100},
		{50, 25, 200},
		{50, 63, 504},
		{50, 1000, 512}, // 256 MiB
		{100, 1000, 256},
		{200, 1000, 200},
		{200, 75, 150},
		{4000, 1000, 100},
		{4000, 10_000, 200},
		{1, 1000, most},
		{0, 1000, most},
		{0, 0, usual},
	} {
		if p := percent(c.inUse*mib, c.taken*mib); p != c.percent {
			t.Errorf("%d MiB in use, %d MiB taken in a second: %d%%, want %d%%", c.inUse, c.taken, p, c.percent)
		}
	}
}

// sink keeps what is taken from being optimised away.
var sink []byte

// TestRun: a busy process looks less often, a quiet one as ever, and afterwards it is
// as before.
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
		time.Sleep(look / 2)
		if p := read(); p != usual {
			t.Errorf("%d%% at first", p)
		}
		for range 256 {
			sink = make([]byte, 1<<20)
		}
		time.Sleep(look)
		if p := read(); p < 4*usual {
			t.Errorf("%d%% while 256 MiB are taken in a second, %d bytes are in use", p, measure().inUse)
		}
		time.Sleep(look)
		if p := read(); p != usual {
			t.Errorf("%d%% when nothing is taken any more", p)
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
