package reconcile

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// TestPoison: an op that breaks every batch it is in is tried less and less
// often, and does not keep others from being programmed.
func TestPoison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		poison := sw(9, 0, 6, 1, 999)
		dp := fake.New()
		losses := 0
		dp.OnApplied = func(ops []dataplane.Op) error {
			if slices.Contains(ops, putOp(poison)) {
				losses++
				return errChaos
			}
			return nil
		}
		dp.Partial = func([]dataplane.Op) int { return 0 }
		good := []softwire.Softwire{sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2), sw(2, 0, 0, 0, 3)}
		n := newBench(t, dp, append(slices.Clone(good), poison)...)
		st := n.later(time.Hour)
		n.holds(good...)
		if losses < 10 || losses > 300 {
			t.Errorf("%d batches lost in an hour", losses)
		}
		if st.Programmed != 3 || len(st.Problems) != 1 || st.Problems[0].Op.Softwire != poison {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestResplit gives all port sets of an address other parameters, with removals
// that fail. No put may come before what it overlaps is gone, and the fake
// refuses it if it does.
func TestResplit(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	bubble(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0))
		dp := fake.New()
		dp.OnOp = func(op dataplane.Op) dataplane.Result {
			if op.Kind == dataplane.Remove && rng.IntN(3) == 0 {
				return dataplane.Result{Outcome: dataplane.Retryable, Err: errChaos}
			}
			return dataplane.Result{}
		}
		var before, after []softwire.Softwire
		for psid := range uint16(1024) {
			before = append(before, sw(1, 0, 10, psid, psid+1))
		}
		for psid := range uint16(512) {
			after = append(after, sw(1, 0, 9, psid, psid+2000))
		}
		n := newBench(t, dp, before...)
		n.settle()
		n.sent()
		c := softwire.Change{Put: after}
		for _, s := range before {
			c.Remove = append(c.Remove, s.Key())
		}
		n.change(c)
		n.later(10 * time.Minute)
		n.holds(after...)
		retried := 0
		for op, result := range dp.Ops() {
			if op.Kind == dataplane.Put && result.Outcome != dataplane.Programmed {
				t.Fatalf("put %s too early: %v", op.Softwire, result.Err)
			}
			if result.Outcome == dataplane.Retryable {
				retried++
			}
		}
		if retried < 100 {
			t.Errorf("only %d removals failed", retried)
		}
	})
}

// TestBulkChange: a change too large for single objects is streamed, removals
// first, and later changes are not lost.
func TestBulkChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		n := newBench(t, dp)
		n.r.Complete()
		n.settle()
		many := func(from, hosts byte, lwb4 uint16) []softwire.Softwire {
			var all []softwire.Softwire
			for host := range hosts {
				for psid := range uint16(128) {
					all = append(all, sw(from+host, 0, 7, psid, lwb4+uint16(host)*128+psid))
				}
			}
			return all
		}
		first := many(1, 150, 1)
		n.change(softwire.Change{Put: first})
		// While that is on its way, one of them goes and others come in bulk.
		gone := first[len(first)-1]
		n.change(softwire.Change{Remove: []softwire.Key{gone.Key()}})
		second := many(1, 150, 30000)
		n.change(softwire.Change{Put: second})
		n.settle()
		if st := n.r.Stats(); st.Programmed != len(second) || st.Pending != 0 {
			t.Fatalf("stats %+v", st)
		}
		n.holds(second...)
		var c softwire.Change
		for _, s := range second {
			c.Remove = append(c.Remove, s.Key())
		}
		c.Put = []softwire.Softwire{sw(1, 0, 0, 0, 5)}
		n.change(c)
		n.settle()
		n.holds(c.Put...)
		for op, result := range dp.Ops() {
			if result.Outcome != dataplane.Programmed {
				t.Fatalf("%s %s: %v", op.Kind, op.Softwire, result.Err)
			}
		}
	})
}

// TestManyStrangers: more than one read back remembers are all removed.
func TestManyStrangers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		for psid := range uint16(20) {
			dp.Plant(sw(1, 0, 6, psid, psid+1))
		}
		own := sw(1, 0, 6, 40, 100)
		b := &bench{T: t, table: softwire.NewTable(), fake: dp}
		b.change(softwire.Change{Put: []softwire.Softwire{own}})
		b.r = start(t, b.table, dp, DefaultConfig(), limits{bulk: 10, scan: 10, extra: 3})
		if st := b.later(time.Hour); st.Withheld != 3 || st.Totals.Syncs > 2 {
			t.Errorf("stats %+v", st)
		}
		b.r.Complete()
		b.later(10 * time.Minute)
		b.holds(own)
	})
}

// TestRefusedByOneIncarnationOnly: what one incarnation refuses, in the midst of
// being cleared, another is asked for.
func TestRefusedByOneIncarnationOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := sw(1, 0, 6, 1, 1)
		moved := a
		moved.B4 = sw(1, 0, 6, 1, 2).B4
		dp := fake.New()
		n := newBench(t, dp, a)
		n.settle()
		var able atomic.Bool
		dp.OnOp = func(op dataplane.Op) dataplane.Result {
			switch {
			case able.Load():
				return dataplane.Result{}
			case op.Kind == dataplane.Put:
				return dataplane.Result{Outcome: dataplane.Unsupported, Err: errChaos}
			}
			return dataplane.Result{Outcome: dataplane.Retryable, Err: errChaos}
		}
		n.change(softwire.Change{Put: []softwire.Softwire{moved}})
		n.later(time.Minute)
		n.holds(a)
		able.Store(true)
		dp.Lose()
		n.settle()
		n.holds(moved)
	})
}
