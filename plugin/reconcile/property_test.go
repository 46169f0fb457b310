package reconcile

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// seedFlag repeats the property tests with the seed that a failure printed.
var seedFlag = flag.Uint64("seed", 0, "seed of the property tests; 0 for others each time")

// seeds are n new ones, or the one that was asked for.
func seeds(n int) []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	all := make([]uint64, n)
	for i := range all {
		all[i] = rand.Uint64()
	}
	return all
}

// underlying makes the data planes that the property tests run on.
func underlying(t *testing.T) map[string]func() Dataplane {
	t.Helper()
	return map[string]func() Dataplane{
		"fake": func() Dataplane { return fake.New() },
		"forwarder": func() Dataplane {
			f, err := forwarder.New(forwarder.DefaultConfig(), noIO{})
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
	}
}

// noIO is for a forwarder without packets.
type noIO struct{}

func (noIO) Run(ctx context.Context, _ func() *forwarder.Worker) error {
	<-ctx.Done()
	return nil
}

func (noIO) Send(context.Context, dataplane.Side, []byte) error { return nil }

// randomSoftwire draws from so few that keys, overlaps and conflicts are
// frequent.
func randomSoftwire(rng *rand.Rand) softwire.Softwire {
	k := uint8(rng.IntN(4))
	a := uint8(0)
	if k > 0 {
		a = uint8(rng.IntN(2)) * 4
	}
	return sw(byte(1+rng.IntN(5)), a, k, uint16(rng.IntN(1<<k)), uint16(rng.IntN(40)))
}

// unsupported is what the data plane of the property tests refuses.
func unsupported(s softwire.Softwire) bool { return s.B4.As16()[7]%8 == 0 }

// TestConverges (I6): whatever happens, once it stops happening the data plane
// holds exactly what the table says, but for what it refuses.
func TestConverges(t *testing.T) {
	for name, make := range underlying(t) {
		for _, strict := range []bool{true, false} {
			for _, seed := range seeds(60) {
				t.Run(fmt.Sprintf("%s/strict=%t/seed=%d", name, strict, seed), func(t *testing.T) {
					bubble(t, func(t *testing.T) { converges(t, make(), strict, seed) })
				})
			}
		}
	}
}

func converges(t *testing.T, under Dataplane, strict bool, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	dp := newChaos(under, seed, t.Errorf)
	dp.strict = strict
	dp.refuses = unsupported
	table := softwire.NewTable()
	config := DefaultConfig()
	config.BatchSize = 1 + rng.IntN(8)
	dp.most = config.BatchSize
	r := start(t, table, dp, config, smallLimits(rng))
	changes := 0
	for range 120 {
		if disturb(t, rng, dp, table, r) {
			changes++
		}
		if rng.IntN(3) > 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
		}
	}
	if changes < 10 {
		t.Fatalf("only %d changes of the table", changes)
	}
	dp.soothe()
	r.Complete()
	time.Sleep(2 * config.RetryMax)
	if !strict {
		r.Resync()
	}
	time.Sleep(20 * config.RetryMax)
	synctest.Wait()
	checkConverged(t, under, table, r.Stats())
	select {
	case <-r.Ready():
	default:
		t.Error("not ready")
	}
}

// smallLimits let a small table do what they keep for large ones.
func smallLimits(rng *rand.Rand) limits {
	return limits{bulk: rng.IntN(6), scan: 1 + rng.IntN(4), extra: 1 + rng.IntN(4)}
}

// disturb does something at random and reports whether it changed the table.
func disturb(t *testing.T, rng *rand.Rand, dp *chaos, table *softwire.Table, r *Reconciler) bool {
	var err error
	switch n := rng.IntN(100); {
	case n < 60:
		return change(rng, table, r)
	case n < 65:
		err = dp.lose(t.Context())
	case n < 70:
		dp.disconnect()
	case n < 80:
		dp.reconnect()
	case n < 82:
		r.Resync()
	case n < 83:
		r.Complete()
	case n < 85:
		network := testNetwork()
		network.Pools = network.Pools[:1+rng.IntN(2)]
		r.SetNetwork(network)
	case dp.strict:
	case n < 92:
		err = dp.plant(t.Context(), randomSoftwire(rng))
	default:
		err = dp.pluck(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
	return false
}

// change changes the table at random.
func change(rng *rand.Rand, table *softwire.Table, r *Reconciler) bool {
	var c softwire.Change
	present := make([]softwire.Key, 0, table.Snapshot().Len())
	for s := range table.Snapshot().All() {
		present = append(present, s.Key())
	}
	for range rng.IntN(4) {
		if len(present) > 0 {
			c.Remove = append(c.Remove, present[rng.IntN(len(present))])
		}
	}
	for range rng.IntN(4) {
		c.Put = append(c.Put, randomSoftwire(rng))
	}
	// A conflict is no failure: the table refuses the batch.
	if err := table.Apply(c); err != nil || c.Empty() {
		return false
	}
	r.Changed()
	return true
}

// checkConverged compares everything with the table.
func checkConverged(t *testing.T, under Dataplane, table *softwire.Table, st Stats) {
	t.Helper()
	want := make(map[softwire.Key]softwire.Softwire)
	refused, pools := 0, make(map[string]Pool)
	for s := range table.Snapshot().All() {
		for _, p := range st.Pools {
			if p.Prefix.Contains(s.IPv4) {
				count := pools[p.Prefix.String()]
				count.Prefix = p.Prefix
				count.Desired++
				if !unsupported(s) {
					count.Programmed++
				}
				pools[p.Prefix.String()] = count
			}
		}
		if unsupported(s) {
			refused++
			continue
		}
		want[s.Key()] = s
	}
	held, err := read(t.Context(), under)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[softwire.Key]softwire.Softwire)
	for _, s := range held {
		got[s.Key()] = s
	}
	if !maps.Equal(got, want) {
		t.Errorf("holds\n%v\nwant\n%v", got, want)
	}
	if st.Desired != table.Snapshot().Len() || st.Programmed != len(want) || st.Refused != refused ||
		st.Pending != 0 || st.Withheld != 0 || st.Lag != 0 || st.Syncing || !st.Configured {
		t.Errorf("stats %+v, want %d desired, %d programmed, %d refused", st, table.Snapshot().Len(), len(want), refused)
	}
	if st.LastVerified.IsZero() || st.Incarnation == 0 || st.Incarnation != st.Health.Incarnation {
		t.Errorf("not verified: %+v", st)
	}
	for _, p := range st.Pools {
		if want := pools[p.Prefix.String()]; p.Desired != want.Desired || p.Programmed != want.Programmed {
			t.Errorf("pool %+v, want %+v", p, want)
		}
	}
}

// TestWaitTellsTheTruth: when Wait returns without an error, the data plane
// holds what the caller asked for, whatever fails on the way.
func TestWaitTellsTheTruth(t *testing.T) {
	for name, make := range underlying(t) {
		for _, seed := range seeds(20) {
			t.Run(fmt.Sprintf("%s/seed=%d", name, seed), func(t *testing.T) {
				bubble(t, func(t *testing.T) { waitTellsTheTruth(t, make(), seed) })
			})
		}
	}
}

func waitTellsTheTruth(t *testing.T, under Dataplane, seed uint64) {
	dp := newChaos(under, seed, t.Errorf)
	dp.strict = true
	dp.refuses = unsupported
	table := softwire.NewTable()
	config := DefaultConfig()
	config.ApplyTimeout = 10 * time.Second // callers wait for up to 20
	r := start(t, table, dp, config, smallLimits(rand.New(rand.NewPCG(seed, 3))))
	r.Complete()
	type outcome struct{ programmed, refused, pending int }
	outcomes := make(chan outcome)
	const owners = 8
	for i := range owners {
		rng := rand.New(rand.NewPCG(seed, uint64(10+i)))
		go func() {
			var o outcome
			defer func() { outcomes <- o }()
			for range 40 {
				// Each owner has an address of its own.
				s := sw(byte(10+i), 0, 2, uint16(rng.IntN(4)), uint16(1+rng.IntN(40)))
				c := softwire.Change{Put: []softwire.Softwire{s}}
				if rng.IntN(3) == 0 {
					c = softwire.Change{Remove: []softwire.Key{s.Key()}}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.Int64N(int64(20*time.Second))))
				err := r.Apply(ctx, c)
				cancel()
				held, holds := find(t, under, s.Key())
				switch {
				case err == nil:
					o.programmed++
					if wanted := len(c.Put) > 0; holds != wanted || wanted && held != s {
						t.Errorf("programmed %+v, but the data plane holds %v (%t)", c, held, holds)
					}
				case errors.Is(err, ErrUnsupported):
					o.refused++
					if len(c.Put) == 0 || !unsupported(s) || holds {
						t.Errorf("%+v refused (%v), the data plane holds %v (%t)", c, err, held, holds)
					}
				case errors.Is(err, ErrPending) && errors.Is(err, context.DeadlineExceeded):
					o.pending++
				default:
					t.Errorf("unexpected error %v", err)
				}
			}
		}()
	}
	var sum outcome
	for range owners {
		o := <-outcomes
		sum.programmed += o.programmed
		sum.refused += o.refused
		sum.pending += o.pending
	}
	if sum.programmed < 20 || sum.refused == 0 {
		t.Errorf("not much was checked: %+v", sum)
	}
}

func find(t *testing.T, dp Dataplane, key softwire.Key) (softwire.Softwire, bool) {
	held, err := read(t.Context(), dp)
	if err != nil {
		t.Error(err)
	}
	for _, s := range held {
		if s.Key() == key {
			return s, true
		}
	}
	return softwire.Softwire{}, false
}
