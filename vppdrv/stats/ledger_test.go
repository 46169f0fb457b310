package stats

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

func packets(rx, tx uint64) Row {
	return Row{Rx: dataplane.Traffic{Packets: rx, Bytes: 100 * rx}, Tx: dataplane.Traffic{Packets: tx, Bytes: 100 * tx}}
}

func TestLedger(t *testing.T) {
	var l Ledger[string]
	serial, incarnation := uint64(0), uint64(1)
	enter := func(rows []Row, places map[string]uint32) {
		serial++
		l.Enter(&Reading{Incarnation: incarnation, serial: serial}, rows, maps.All(places))
	}
	expect := func(what string, a, b, total Row) {
		t.Helper()
		if l.Of("a") != a || l.Of("b") != b || l.Total() != total {
			t.Errorf("%s: a %+v, b %+v, total %+v", what, l.Of("a"), l.Of("b"), l.Total())
		}
	}
	expect("empty", Row{}, Row{}, Row{})
	enter([]Row{packets(5, 6), packets(7, 8)}, map[string]uint32{"a": 0, "b": 1})
	expect("first", packets(5, 6), packets(7, 8), packets(12, 14))
	enter([]Row{packets(1, 1), packets(7, 9)}, map[string]uint32{"a": 0, "b": 1})
	expect("a made anew in place", packets(6, 7), packets(7, 9), packets(13, 16))
	enter([]Row{packets(0, 0), packets(7, 9), packets(3, 3)}, map[string]uint32{"a": 2, "b": 1})
	expect("a moved", packets(9, 10), packets(7, 9), packets(16, 19))
	enter([]Row{packets(0, 0), packets(8, 9), packets(3, 3)}, map[string]uint32{"a": 2})
	expect("b gone", packets(9, 10), Row{}, packets(16, 19))
	enter([]Row{packets(0, 0), packets(2, 2), packets(3, 3)}, map[string]uint32{"a": 2, "b": 1})
	expect("b back", packets(9, 10), packets(2, 2), packets(18, 21))
	enter(nil, map[string]uint32{"a": 2, "b": 1})
	expect("rows missing", packets(9, 10), packets(2, 2), packets(18, 21))

	serial -= 2
	enter([]Row{packets(0, 0), packets(0, 0), packets(0, 0)}, map[string]uint32{"a": 2, "b": 1})
	expect("an older reading", packets(9, 10), packets(2, 2), packets(18, 21))

	incarnation++
	enter([]Row{packets(1, 0)}, map[string]uint32{"a": 0})
	expect("another VPP", packets(1, 0), Row{}, packets(1, 0))
}

// TestLook: a key that is looked at has what it has after all rows are entered.
func TestLook(t *testing.T) {
	var l Ledger[string]
	serial, incarnation := uint64(0), uint64(1)
	next := func() *Reading {
		serial++
		return &Reading{Incarnation: incarnation, serial: serial}
	}
	look := func(r *Reading, key string, row uint32, rows []Row, want Row) {
		t.Helper()
		if got := l.Look(r, rows, key, row); got != want {
			t.Errorf("reading %d: %q has %+v, want %+v", r.serial, key, got, want)
		}
	}
	places := maps.All(map[string]uint32{"a": 0, "b": 1})
	look(next(), "a", 0, []Row{packets(5, 6), packets(7, 8)}, packets(5, 6))
	first := next()
	l.Enter(first, []Row{packets(5, 7), packets(7, 8)}, places)
	look(next(), "a", 0, []Row{packets(1, 1), packets(9, 9)}, packets(6, 8))
	look(first, "a", 0, []Row{packets(5, 7), packets(7, 8)}, packets(6, 8))
	if want := packets(12, 15); l.Total() != want {
		t.Errorf("total %+v, want %+v", l.Total(), want)
	}
	l.Enter(next(), []Row{packets(2, 2), packets(9, 9)}, places)
	if l.Of("a") != packets(7, 9) || l.Total() != packets(16, 18) {
		t.Errorf("a %+v, total %+v", l.Of("a"), l.Total())
	}
	incarnation++
	look(next(), "a", 0, []Row{packets(1, 0)}, packets(1, 0))
}

// TestMeterBytes: packets and octets are not read in one instant, and VPP's
// octets are with a tunnel header that is taken off by the packets.
func TestMeterBytes(t *testing.T) {
	var m meter
	m.see(dataplane.Traffic{Packets: 10, Bytes: 1000})
	if got := m.see(dataplane.Traffic{Packets: 11, Bytes: 980}); got.Packets != 11 || got.Bytes != 1000 {
		t.Errorf("fewer octets with more packets: %+v", got)
	}
	if got := m.see(dataplane.Traffic{Packets: 11, Bytes: 1080}); got.Bytes != 1080 {
		t.Errorf("octets of the next reading: %+v", got)
	}
}

// toy is what VPP does with rows: it zeroes one when it makes a domain of its
// index, and leaves it when the domain goes.
type toy struct {
	rows   []Row
	free   []uint32
	places map[int]uint32
}

func (v *toy) remove(key int) {
	v.free = append(v.free, v.places[key])
	delete(v.places, key)
}

func (v *toy) make(key int) {
	row := uint32(len(v.rows))
	if last := len(v.free) - 1; last >= 0 {
		row, v.free = v.free[last], v.free[:last]
	} else {
		v.rows = append(v.rows, Row{})
	}
	v.rows[row], v.places[key] = Row{}, row
}

// TestLedgerNeverGoesBack: whatever VPP does to its rows, no key that stays
// goes back, nor does the total, and no packet is counted that was not there.
func TestLedgerNeverGoesBack(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var l Ledger[int]
	v := &toy{places: make(map[int]uint32)}
	var passed, before Row
	was := make(map[int]Row)
	decreases := 0
	for step := range uint64(20_000) {
		key := random.IntN(20)
		_, there := v.places[key]
		switch n := random.IntN(10); {
		case n < 6 && there:
			more := packets(uint64(random.IntN(50)), uint64(random.IntN(50)))
			add(&v.rows[v.places[key]], more)
			add(&passed, more)
		case n == 6 && there: // changes its shape
			v.remove(key)
			v.make(key)
			decreases++
		case n == 7 && there:
			v.remove(key)
			delete(was, key)
		case !there:
			v.make(key)
		}
		if random.IntN(3) > 0 {
			continue
		}
		l.Enter(&Reading{Incarnation: 1, serial: step + 1}, v.rows, maps.All(v.places))
		for key := range v.places {
			now := l.Of(key)
			if less(now, was[key]) {
				t.Fatalf("seed %d, step %d: key %d went from %+v to %+v", seed, step, key, was[key], now)
			}
			was[key] = now
		}
		if less(l.Total(), before) || less(passed, l.Total()) {
			t.Fatalf("seed %d, step %d: total %+v after %+v, %+v passed", seed, step, l.Total(), before, passed)
		}
		before = l.Total()
	}
	if decreases == 0 || before.Rx.Packets < passed.Rx.Packets/2 {
		t.Errorf("seed %d: %d domains replaced, %d of %d packets counted", seed, decreases, before.Rx.Packets, passed.Rx.Packets)
	}
}

func less(a, b Row) bool {
	return a.Rx.Packets < b.Rx.Packets || a.Rx.Bytes < b.Rx.Bytes || a.Tx.Packets < b.Tx.Packets || a.Tx.Bytes < b.Tx.Bytes
}
