package reconcile

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestFirstSync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2), sw(2, 0, 0, 0, 3)
		n := newBench(t, fake.New(), a, b, c)
		st := n.settle()
		n.holds(a, b, c)
		if st.Desired != 3 || st.Programmed != 3 || st.Pending != 0 || st.Incarnation != 1 || !st.Configured {
			t.Errorf("stats %+v", st)
		}
		if st.LastSync.IsZero() || st.LastVerified.IsZero() || st.Syncing {
			t.Errorf("not verified: %+v", st)
		}
		select {
		case <-n.r.Ready():
			t.Error("ready before the table was declared complete")
		default:
		}
		n.r.Complete()
		n.settle()
		select {
		case <-n.r.Ready():
		default:
			t.Error("not ready")
		}
		if got, ok := n.fake.Network(); !ok || !sameNetwork(got, testNetwork()) {
			t.Errorf("network %v", got)
		}
	})
}

func TestChangesFollow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2)
		n := newBench(t, fake.New(), a)
		n.settle()
		n.sent()
		moved := a
		moved.B4 = sw(1, 0, 6, 1, 9).B4
		n.change(softwire.Change{Put: []softwire.Softwire{moved, b}})
		n.settle()
		n.holds(moved, b)
		n.change(softwire.Change{Remove: []softwire.Key{a.Key()}})
		n.settle()
		n.holds(b)
		want := []string{
			"put 192.0.2.1 psid 0/6/1: programmed", "put 192.0.2.1 psid 0/6/2: programmed",
			"remove 192.0.2.1 psid 0/6/1: programmed",
		}
		if got := n.sent(); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	})
}

// TestRemovalFirst: while the removal fails, the put that needs its ports is not
// sent, and others are.
func TestRemovalFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		old, wide, other := sw(1, 0, 6, 1, 1), sw(1, 0, 5, 0, 2), sw(1, 0, 6, 40, 3)
		dp := fake.New()
		failures := 5
		dp.OnOp = func(op dataplane.Op) dataplane.Result {
			if op.Kind == dataplane.Remove && failures > 0 {
				failures--
				return dataplane.Result{Outcome: dataplane.Retryable, Err: errors.New("busy")}
			}
			return dataplane.Result{}
		}
		n := newBench(t, dp, old)
		n.settle()
		n.sent()
		n.change(softwire.Change{Remove: []softwire.Key{old.Key()}, Put: []softwire.Softwire{wide, other}})
		st := n.settle()
		n.holds(old, other)
		if st.Pending != 2 || st.Desired != 2 || st.Programmed != 1 {
			t.Errorf("stats while blocked %+v", st)
		}
		n.later(time.Minute)
		n.holds(wide, other)
		for _, op := range n.sent() {
			if op == "put 192.0.2.1 psid 0/5/0: retryable" {
				t.Error("the put was sent before the removal had succeeded")
			}
		}
		if failures != 0 {
			t.Errorf("%d failures left: the removal was not retried", failures)
		}
	})
}

func TestBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		var at []time.Time
		dp.OnOp = func(dataplane.Op) dataplane.Result {
			at = append(at, time.Now())
			return dataplane.Result{Outcome: dataplane.Retryable, Err: errors.New("busy")}
		}
		n := newBench(t, dp, sw(1, 0, 6, 1, 1))
		st := n.later(10 * time.Minute)
		c := DefaultConfig()
		for i := 1; i < len(at); i++ {
			most := min(c.RetryMin<<min(i-1, 20), c.RetryMax)
			if pause := at[i].Sub(at[i-1]); pause > most || pause < most/2 {
				t.Errorf("pause %d is %s, want %s to %s", i, pause, most/2, most)
			}
		}
		if len(at) < 20 || len(at) > 60 {
			t.Errorf("%d attempts in ten minutes", len(at))
		}
		if st.Lag < 9*time.Minute || st.Pending != 1 || len(st.Problems) != 1 || st.Problems[0].Attempts != len(at) {
			t.Errorf("stats %+v after %d attempts", st, len(at))
		}
	})
}

// TestUnsupported: a refused op is not sent again until the object, another one
// on its address, or the data plane has changed.
func TestUnsupported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bad, beside, elsewhere := sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2), sw(2, 0, 6, 1, 3)
		dp := fake.New()
		asked := 0
		dp.OnOp = func(op dataplane.Op) dataplane.Result {
			if op.Kind != dataplane.Put || op.Softwire.Key() != bad.Key() {
				return dataplane.Result{}
			}
			asked++
			return dataplane.Result{Outcome: dataplane.Unsupported, Err: errors.New("cannot")}
		}
		n := newBench(t, dp, bad)
		st := n.later(time.Hour)
		if asked != 1 || st.Refused != 1 || st.Pending != 0 || st.Lag != 0 || !st.Problems[0].Refused {
			t.Fatalf("asked %d times, stats %+v", asked, st)
		}
		if p, ok := n.r.Problem(bad.Key()); !ok || !p.Refused {
			t.Errorf("problem %+v, %t", p, ok)
		}
		n.change(softwire.Change{Put: []softwire.Softwire{elsewhere}})
		n.r.Resync()
		if n.later(time.Hour); asked != 1 {
			t.Errorf("asked again (%d) although nothing of it changed", asked)
		}
		n.change(softwire.Change{Put: []softwire.Softwire{beside}})
		if n.later(time.Hour); asked != 2 {
			t.Errorf("asked %d times after a change on its address, want 2", asked)
		}
		moved := bad
		moved.B4 = sw(1, 0, 6, 1, 77).B4
		n.change(softwire.Change{Put: []softwire.Softwire{moved}})
		if n.later(time.Hour); asked != 3 {
			t.Errorf("asked %d times after its own change, want 3", asked)
		}
		dp.Lose()
		if n.later(time.Hour); asked != 4 {
			t.Errorf("asked %d times after a new incarnation, want 4", asked)
		}
		n.holds(beside, elsewhere)
	})
}

// TestResyncMendsOnlyDifferences: what is right is neither removed nor put
// again.
func TestResyncMendsOnlyDifferences(t *testing.T) {
	bubble(t, func(t *testing.T) {
		right, wrong, missing, extra, half := sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2), sw(1, 0, 6, 3, 3), sw(1, 0, 6, 4, 4), sw(1, 0, 6, 5, 5)
		stale := wrong
		stale.B4 = sw(1, 0, 6, 2, 99).B4
		broken := half
		broken.B4 = netip.Addr{}
		dp := fake.New()
		dp.Plant(right, stale, extra, broken)
		n := newBench(t, dp, right, wrong, missing, half)
		n.r.Complete()
		n.settle()
		n.holds(right, wrong, missing, half)
		want := []string{
			"put 192.0.2.1 psid 0/6/2: programmed", "put 192.0.2.1 psid 0/6/3: programmed",
			"put 192.0.2.1 psid 0/6/5: programmed", "remove 192.0.2.1 psid 0/6/4: programmed",
		}
		got := n.sent()
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
		dp.Pluck(missing.Key())
		dp.Plant(extra)
		n.r.Resync()
		n.settle()
		n.holds(right, wrong, missing, half)
		if got := n.sent(); len(got) != 2 {
			t.Errorf("sent %q, want two ops", got)
		}
	})
}

// TestNoPruneBeforeComplete: what an earlier process left stays until the table
// is declared complete, but what leaves the table goes at once.
func TestNoPruneBeforeComplete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		known, left := sw(1, 0, 6, 1, 1), sw(1, 0, 6, 4, 4)
		dp := fake.New()
		dp.Plant(known, left)
		n := newBench(t, dp, known)
		if st := n.later(time.Hour); st.Withheld != 1 || st.Programmed != 1 {
			t.Errorf("stats %+v", st)
		}
		n.holds(known, left)
		n.change(softwire.Change{Remove: []softwire.Key{known.Key()}})
		n.settle()
		n.holds(left)
		// A lease that is restored late is found programmed already or put.
		n.change(softwire.Change{Put: []softwire.Softwire{left}})
		if st := n.settle(); st.Withheld != 0 || st.Programmed != 1 {
			t.Errorf("stats %+v", st)
		}
		dp.Plant(known)
		n.r.Resync()
		n.settle()
		n.r.Complete()
		n.settle()
		n.holds(left)
	})
}

// TestLostAnswer: a batch without results is read back, and only what is
// missing is sent again.
func TestLostAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		lost := 2
		dp.OnApplied = func([]dataplane.Op) error {
			if lost > 0 {
				lost--
				return errors.New("connection reset")
			}
			return nil
		}
		dp.Partial = func(ops []dataplane.Op) int { return len(ops) / 2 }
		a, b := sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2)
		n := newBench(t, dp, a, b)
		if st := n.settle(); !st.LastSync.IsZero() || !st.Syncing {
			t.Errorf("synced without an answer: %+v", st)
		}
		st := n.later(time.Minute)
		n.holds(a, b)
		var kinds []fake.CallKind
		for _, call := range dp.Calls()[:6] {
			kinds = append(kinds, call.Kind)
		}
		want := []fake.CallKind{
			fake.CallConfigure, fake.CallSoftwires, fake.CallApply, fake.CallSoftwires, fake.CallApply, fake.CallSoftwires,
		}
		if !slices.Equal(kinds, want) {
			t.Errorf("calls %v, want a read back after each batch without an answer", kinds)
		}
		if st.Totals.LostBatches != 2 || st.Pending != 0 || st.Programmed != 2 || st.LastVerified.IsZero() {
			t.Errorf("stats %+v", st)
		}
		n.sent()
		lost = 1
		n.change(softwire.Change{Remove: []softwire.Key{a.Key(), b.Key()}})
		n.later(time.Minute)
		n.holds()
	})
}

func TestNewIncarnation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		a, b := sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2)
		n := newBench(t, dp, a, b)
		n.settle()
		dp.Lose()
		st := n.settle()
		n.holds(a, b)
		if st.Incarnation != 2 || st.Programmed != 2 || !st.Configured {
			t.Errorf("stats %+v", st)
		}
		// Not lost, only out of reach: nothing is sent again.
		n.sent()
		dp.Disconnect("gone")
		if st := n.settle(); st.Incarnation != 0 || st.Health.State != dataplane.StateDown {
			t.Errorf("out of reach: %+v", st)
		}
		c := sw(1, 0, 6, 3, 3)
		n.change(softwire.Change{Put: []softwire.Softwire{c}})
		n.later(time.Minute)
		n.holds(a, b)
		dp.Reconnect()
		n.settle()
		n.holds(a, b, c)
		if got := n.sent(); len(got) != 1 {
			t.Errorf("sent %q, want one op", got)
		}
		// Down, but programmable.
		dp.SetState(dataplane.StateDown, "no link")
		n.change(softwire.Change{Remove: []softwire.Key{c.Key()}})
		n.settle()
		n.holds(a, b)
	})
}

// TestHungCall: a call that never returns ends with its timeout, or at once when
// another incarnation appears.
func TestHungCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		hang := true
		dp.OnCall = func(ctx context.Context, call fake.Call) error {
			if call.Kind == fake.CallApply && hang {
				hang = false
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		a := sw(1, 0, 6, 1, 1)
		n := newBench(t, dp, a)
		n.settle()
		n.holds()
		dp.Lose()
		n.settle()
		// The lost batch puts the read back off by one pause.
		n.later(DefaultConfig().RetryMin)
		n.holds(a)
		hang = true
		n.change(softwire.Change{Remove: []softwire.Key{a.Key()}})
		n.later(DefaultConfig().ApplyTimeout + time.Second)
		n.holds()
	})
}
