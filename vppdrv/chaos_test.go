package vppdrv

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// fewRuns is enough for a test among others.
const fewRuns = 4

// chaosRuns is how long a test with random events goes on: how often something
// happens to VPP, or as often as LW4O6_CHAOS says.
func chaosRuns(t *testing.T) int {
	text := os.Getenv("LW4O6_CHAOS")
	if text == "" {
		return fewRuns
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("LW4O6_CHAOS=%q is no number of runs", text)
	}
	return n
}

// TestChaos: VPP is killed, twice in a row too, and hangs, at random moments
// while the table changes. Whenever a change is acknowledged VPP holds it, unless
// something happened to VPP since; and in the end VPP holds the table.
func TestChaos(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	b := newBench(t, func(c *Config) {
		c.PingInterval, c.Unresponsive, c.CallTimeout = 20*time.Millisecond, time.Second, 500*time.Millisecond
		c.RetryMax = 100 * time.Millisecond
	})
	c := &chaos{bench: b, table: softwire.NewTable(), want: make(map[softwire.Key]softwire.Softwire)}
	config := reconcile.DefaultConfig()
	config.RetryMin, config.RetryMax = 10*time.Millisecond, 200*time.Millisecond
	var err error
	if c.reconciler, err = reconcile.New(config, c.table, network(), b.Driver, quiet(t)); err != nil {
		t.Fatal(err)
	}
	c.start(t, r.Uint64())
	pause := func(most time.Duration) { sleep(t.Context(), time.Duration(r.Int64N(int64(most)))) }
	for range chaosRuns(t) {
		// Sometimes it is in the middle of a resync, sometimes it has settled.
		pause([]time.Duration{100 * time.Millisecond, time.Second}[r.IntN(2)])
		c.events.Add(1)
		switch r.IntN(4) {
		case 0:
			b.vpp.Pause()
			pause(2 * time.Second)
			b.vpp.Resume()
		case 1:
			c.crash()
			pause(100 * time.Millisecond) // it is being read or filled
			c.crash()
		default:
			c.crash()
		}
		c.events.Add(1)
	}
	// It goes on afterwards.
	for verified := c.verified.Load(); c.verified.Load() < verified+3 && !t.Failed(); {
		sleep(t.Context(), time.Millisecond)
	}
	c.stop()
	c.synced(t)
	if got := read(t, b); !maps.Equal(got, c.want) {
		t.Errorf("read back %d softwires, want %d", len(got), len(c.want))
	}
	t.Logf("%d changes were acknowledged, %d of them looked at in VPP", c.acknowledged.Load(), c.verified.Load())
}

type chaos struct {
	*bench
	reconciler *reconcile.Reconciler
	table      *softwire.Table
	events     atomic.Uint64 // odd while something happens to VPP
	stop       func()        // ends the changes

	acknowledged, verified atomic.Uint64
	want                   map[softwire.Key]softwire.Softwire // the changer's until it has stopped
}

// start runs the reconciler, and changes until stop.
func (c *chaos) start(t *testing.T, seed uint64) {
	run, end := context.WithCancel(context.Background())
	change, stop := context.WithCancel(run)
	var reconciler, changer sync.WaitGroup
	reconciler.Go(func() {
		if err := c.reconciler.Run(run); err != nil {
			t.Errorf("reconciler: %v", err)
		}
	})
	c.reconciler.Complete()
	changer.Go(func() {
		for r := rand.New(rand.NewPCG(seed, 1)); change.Err() == nil; {
			if err := c.change(run, r); err != nil {
				t.Error(err)
				return
			}
		}
	})
	c.stop = func() {
		stop()
		changer.Wait()
	}
	t.Cleanup(func() {
		end()
		changer.Wait()
		reconciler.Wait()
	})
}

// crash ends VPP and starts it again.
func (c *chaos) crash() {
	c.vpp.Kill()
	c.vpp.Restart()
	c.restarted()
}

// change makes a random change, waits until it is acknowledged, and looks
// whether VPP holds it.
func (c *chaos) change(ctx context.Context, r *rand.Rand) error {
	var change softwire.Change
	touched := make(map[softwire.Key]bool)
	for range 1 + r.IntN(200) {
		s := table(2000)[r.IntN(2000)]
		if touched[s.Key()] {
			continue
		}
		touched[s.Key()] = true
		if _, there := c.want[s.Key()]; there && r.IntN(3) == 0 {
			change.Remove = append(change.Remove, s.Key())
			delete(c.want, s.Key())
			continue
		}
		s.B4 = addr(fmt.Sprintf("2001:db8:100::%x:%x", r.IntN(1<<16), r.IntN(1<<16)))
		change.Put = append(change.Put, s)
		c.want[s.Key()] = s
	}
	before := c.events.Load()
	patience, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.reconciler.Apply(patience, change); err != nil {
		return fmt.Errorf("a change is not acknowledged: %w; health %+v", err, c.health.Get())
	}
	c.acknowledged.Add(1)
	got := make(map[softwire.Key]softwire.Softwire)
	for s, err := range c.Softwires(patience) {
		if err != nil {
			if c.quietSince(before) {
				return fmt.Errorf("reading back: %w", err)
			}
			return nil
		}
		got[s.Key()] = s
	}
	if !c.quietSince(before) {
		return nil
	}
	c.verified.Add(1)
	for key := range touched {
		if got[key] != c.want[key] {
			return fmt.Errorf("%s is acknowledged as %v, and VPP has %v", key, c.want[key], got[key])
		}
	}
	return nil
}

// quietSince reports that nothing has happened to VPP since events was before.
func (c *chaos) quietSince(before uint64) bool { return before%2 == 0 && c.events.Load() == before }

// synced waits until the reconciler has nothing to do.
func (c *chaos) synced(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for known := uint64(0); ; {
		s := c.reconciler.Stats()
		if s.Health.State == dataplane.StateUp && s.Incarnation != 0 && s.Programmed == len(c.want) && s.Pending == 0 && !s.Syncing {
			return
		}
		var err error
		if known, err = c.reconciler.WaitProgress(ctx, known); err != nil {
			t.Fatalf("not synced: %+v", s)
		}
	}
}
