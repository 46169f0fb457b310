package reconcile

import (
	"context"
	"iter"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// sink is a data plane that keeps nothing but what it was told to hold at the
// start, and looks at the heap on the way.
type sink struct {
	*fake.Dataplane
	holds     func(yield func(softwire.Softwire, error) bool)
	puts      int
	removals  int
	peak      uint64
	readbacks int
}

func (s *sink) Apply(_ context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	for _, op := range ops {
		if op.Kind == dataplane.Put {
			s.puts++
		} else {
			s.removals++
		}
	}
	if s.puts%(100*1024) < len(ops) {
		s.peak = max(s.peak, heapInUse())
	}
	return make([]dataplane.Result, len(ops)), nil
}

func (s *sink) Softwires(context.Context) iter.Seq2[softwire.Softwire, error] {
	s.readbacks++
	return s.holds
}

// heapInUse is what is in use after a collection.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// million yields 2^20 softwires: 16,384 addresses of 64 port sets.
func million(change uint16) iter.Seq[softwire.Softwire] {
	return func(yield func(softwire.Softwire) bool) {
		b4 := netip.MustParseAddr("2001:db8:100::").As16()
		for i := range uint32(1 << 20) {
			set, _ := portset.Of(0, 6, uint16(i%64))
			b4[8], b4[9], b4[10], b4[11] = byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
			b4[14], b4[15] = byte(change>>8), byte(change)
			ip := i / 64
			s := softwire.Softwire{
				IPv4: netip.AddrFrom4([4]byte{100, 64 + byte(ip>>16), byte(ip >> 8), byte(ip)}), PortSet: set,
				B4: netip.AddrFrom16(b4), BR: br,
			}
			if !yield(s) {
				return
			}
		}
	}
}

// TestMillion loads, verifies, replaces and finds again a million softwires, in
// little memory.
func TestMillion(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory is in the measurement")
	}
	if testing.Short() {
		t.Skip("-short: a million softwires take seconds")
	}
	table := softwire.NewTable()
	if _, err := table.Replace(million(1)); err != nil {
		t.Fatal(err)
	}
	const bindings = 1 << 20
	before := heapInUse()
	dp := &sink{Dataplane: fake.New()}
	// Once loaded it holds the table.
	dp.holds = func(yield func(softwire.Softwire, error) bool) {
		if dp.puts == 0 {
			return
		}
		for s := range table.Snapshot().All() {
			if !yield(s, nil) {
				return
			}
		}
	}
	r := start(t, table, dp, DefaultConfig(), newState(DefaultConfig()).limits)
	r.Complete()
	began := time.Now()
	st := follow(t, r, func(st Stats) bool { return !st.LastVerified.IsZero() })
	t.Logf("first sync and verification of %d softwires: %s, heap grew by %d KiB at most",
		bindings, time.Since(began), (dp.peak-before)>>10)
	if dp.puts != bindings || dp.removals != 0 || dp.readbacks != 2 || st.Programmed != bindings || st.Pending != 0 {
		t.Errorf("%d puts, %d removals, %d read backs, stats %+v", dp.puts, dp.removals, dp.readbacks, st)
	}
	// Bits for each softwire, a batch, and what the fake records: no objects.
	if grew := int64(dp.peak) - int64(before); grew > 8<<20 {
		t.Errorf("the heap grew by %d MiB", grew>>20)
	}
	dp.puts = 0
	if _, err := table.Replace(million(2)); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	r.Changed()
	follow(t, r, func(st Stats) bool {
		return st.Programmed == bindings && st.Pending == 0 && st.Totals.Ops == 2*bindings
	})
	t.Logf("replacement of all of them: %s", time.Since(began))
	if dp.puts != bindings || dp.removals != 0 {
		t.Errorf("%d puts, %d removals", dp.puts, dp.removals)
	}
}

// follow waits for Stats to be as done asks.
func follow(t *testing.T, r *Reconciler, done func(Stats) bool) Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for generation := uint64(0); ; {
		st := r.Stats()
		if done(st) {
			return st
		}
		var err error
		if generation, err = r.WaitProgress(ctx, generation); err != nil {
			t.Fatalf("%v; stats %+v", err, st)
		}
	}
}
