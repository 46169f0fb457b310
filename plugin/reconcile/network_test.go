package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// configureFails makes Configure fail with what is stored, until that is nil,
// and counts the calls.
func configureFails(dp *fake.Dataplane, with error) (err *atomic.Pointer[error], calls *atomic.Int32) {
	err, calls = new(atomic.Pointer[error]), new(atomic.Int32)
	err.Store(&with)
	dp.OnCall = func(_ context.Context, call fake.Call) error {
		if call.Kind != fake.CallConfigure {
			return nil
		}
		calls.Add(1)
		if e := err.Load(); e != nil {
			return *e
		}
		return nil
	}
	return err, calls
}

func TestConfigureComesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		fail, calls := configureFails(dp, errBusy)
		a := sw(1, 0, 6, 1, 1)
		n := newBench(t, dp, a)
		st := n.later(time.Minute)
		if calls.Load() < 3 || len(n.sent()) != 0 || st.Configured || !errors.Is(st.NetworkError, errBusy) {
			t.Errorf("%d calls, stats %+v", calls.Load(), st)
		}
		fail.Store(nil)
		st = n.later(time.Minute)
		n.holds(a)
		if !st.Configured || st.NetworkError != nil {
			t.Errorf("stats %+v", st)
		}
		// A later failure does not keep softwires from following.
		again := errors.New("busy again")
		fail.Store(&again)
		n.r.SetNetwork(dataplane.Network{Pools: testNetwork().Pools[:1], BRs: testNetwork().BRs})
		b := sw(1, 0, 6, 2, 2)
		n.change(softwire.Change{Put: []softwire.Softwire{b}})
		n.settle()
		n.holds(a, b)
		fail.Store(nil)
		n.later(time.Minute)
		if network, _ := dp.Network(); len(network.Pools) != 1 {
			t.Errorf("network %v", network)
		}
	})
}

func TestUnsupportedNetwork(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		fail, calls := configureFails(dp, fmt.Errorf("17 BR addresses: %w", dataplane.ErrUnsupported))
		a := sw(1, 0, 6, 1, 1)
		n := newBench(t, dp, a)
		if n.later(time.Hour); calls.Load() != 1 {
			t.Errorf("%d calls, want 1", calls.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.r.Wait(ctx, a.Key()); !errors.Is(err, dataplane.ErrUnsupported) {
			t.Errorf("error %v, want the reason", err)
		}
		fail.Store(nil)
		n.r.SetNetwork(testNetwork())
		n.settle()
		n.holds(a)
		// And again in every incarnation.
		dp.Lose()
		n.settle()
		n.holds(a)
		if calls.Load() != 3 {
			t.Errorf("%d calls, want 3", calls.Load())
		}
	})
}

// TestNetworkChangesWhileConfigured: what is set last is what stays.
func TestNetworkChangesWhileConfigured(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		dp.OnCall = func(ctx context.Context, call fake.Call) error {
			if call.Kind == fake.CallConfigure {
				sleep(ctx, time.Second)
			}
			return ctx.Err()
		}
		n := newBench(t, dp)
		n.later(500 * time.Millisecond)
		last := dataplane.Network{Pools: testNetwork().Pools[:1], BRs: testNetwork().BRs}
		n.r.SetNetwork(last)
		st := n.later(time.Minute)
		if got, _ := dp.Network(); !sameNetwork(got, last) || !st.Configured {
			t.Errorf("network %v, want %v", got, last)
		}
	})
}

func TestPools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		on := busy(dp)
		on.Store(false)
		n := newBench(t, dp, sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2), sw(200, 0, 6, 1, 3))
		n.settle()
		n.r.SetNetwork(dataplane.Network{BRs: testNetwork().BRs, Pools: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.128/25"), netip.MustParsePrefix("192.0.2.0/25"),
		}})
		on.Store(true)
		n.change(softwire.Change{Put: []softwire.Softwire{sw(3, 0, 6, 1, 4)}})
		st := n.settle()
		want := []Pool{
			{Prefix: netip.MustParsePrefix("192.0.2.0/25"), Desired: 3, Programmed: 2},
			{Prefix: netip.MustParsePrefix("192.0.2.128/25"), Desired: 1, Programmed: 1},
		}
		if len(st.Pools) != 2 || st.Pools[0] != want[0] || st.Pools[1] != want[1] || st.Pools[0].Unprogrammed() != 1 {
			t.Errorf("pools %+v, want %+v", st.Pools, want)
		}
		both := []netip.Prefix{want[1].Prefix, want[0].Prefix}
		if sum, complete := st.Sum(both); sum != (Pool{Desired: 4, Programmed: 3}) || !complete {
			t.Errorf("the sum is %+v, complete %t", sum, complete)
		}
		// The network before had that one.
		both[0] = netip.MustParsePrefix("192.0.2.0/24")
		if sum, complete := st.Sum(both); sum != (Pool{Desired: 3, Programmed: 2}) || complete {
			t.Errorf("the sum with a prefix that is not counted is %+v, complete %t", sum, complete)
		}
		dp.Disconnect("gone")
		on.Store(false)
		dp.Lose()
		if st := n.later(time.Minute); st.Pools[0].Unprogrammed() != 0 || st.Incarnation != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestProgress: a caller that follows WaitProgress sees the end of a load.
func TestProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		dp.OnCall = func(ctx context.Context, _ fake.Call) error {
			sleep(ctx, time.Second)
			return ctx.Err()
		}
		n := newBench(t, dp, sw(1, 0, 6, 1, 1))
		rounds := 0
		for generation := uint64(0); n.r.Stats().LastVerified.IsZero(); rounds++ {
			var err error
			if generation, err = n.r.WaitProgress(t.Context(), generation); err != nil {
				t.Fatal(err)
			}
		}
		if rounds < 3 || rounds > 20 {
			t.Errorf("%d rounds", rounds)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		generation, _ := n.r.WaitProgress(ctx, 0)
		if _, err := n.r.WaitProgress(ctx, generation); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v: nothing happens any more", err)
		}
	})
}

// TestLost: what the first read back of an incarnation did not find is remembered
// after it is mended, and begins anew with the next.
func TestLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		dp.Plant(sw(1, 0, 6, 1, 1))
		b := newBench(t, dp, sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2), sw(1, 0, 6, 3, 3))
		if p := b.settle().Pools[1]; p.Lost != 2 || p.Programmed != 3 {
			t.Errorf("at first: %+v", p)
		}
		b.change(softwire.Change{Put: []softwire.Softwire{sw(1, 0, 6, 4, 4)}})
		b.r.Resync()
		if p := b.settle().Pools[1]; p.Lost != 2 || p.Programmed != 4 {
			t.Errorf("after a change: %+v", p)
		}
		dp.Lose()
		if p := b.settle().Pools[1]; p.Lost != 4 || p.Programmed != 4 {
			t.Errorf("after a loss: %+v", p)
		}
	})
}
