package softwire

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// TestReadersSeeWholeBatches moves a group of softwires from one lwB4 to the
// next in each batch, while readers check that all of the group is with one
// lwB4 in whatever way they ask.
func TestReadersSeeWholeBatches(t *testing.T) {
	const (
		readers = 4
		enough  = 300 // looks per reader
		group   = 40
	)
	p, err := portset.NewParams(6, 4)
	if err != nil {
		t.Fatal(err)
	}
	batch := func(generation int) Change {
		var c Change
		for i := range group {
			c.Put = append(c.Put, Softwire{addr4(20<<24 + uint32(i)*77), setOf(p, uint16(i%16)), subscriber(generation), someBR})
		}
		if generation%3 == 0 { // one that comes and goes with the group
			c.Put = append(c.Put, Softwire{addr4(21 << 24), portset.PortSet{}, subscriber(generation), someBR})
		} else {
			c.Remove = []Key{{addr4(21 << 24), portset.PortSet{}}}
		}
		return c
	}
	table := NewTable()
	if err := table.Apply(batch(0)); err != nil {
		t.Fatal(err)
	}
	var looks [readers]atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			for !stop.Load() {
				checkGeneration(t, table.Snapshot(), batch(0).Put[:group])
				looks[r].Add(1)
			}
		})
	}
	done := func() bool {
		for r := range looks {
			if looks[r].Load() < enough {
				return false
			}
		}
		return true
	}
	generations := 1
	for ; !t.Failed() && (generations < 1000 || !done()); generations++ {
		if err := table.Apply(batch(generations)); err != nil {
			t.Error(err)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d batches", generations)
}

// checkGeneration checks that all of the group has one lwB4 in s. It is called
// from goroutines, so it reports by Error.
func checkGeneration(t *testing.T, s *Snapshot, group []Softwire) {
	t.Helper()
	first, ok := s.Get(group[0].Key())
	if !ok {
		t.Error("the first softwire of the group is not there")
		return
	}
	extra, hasExtra := s.Get(Key{addr4(21 << 24), portset.PortSet{}})
	want := len(group)
	if hasExtra {
		want++
		if extra.B4 != first.B4 {
			t.Errorf("%v beside %v", extra, first)
		}
	}
	for _, x := range group {
		for r := range x.PortSet.Ranges() {
			m, ok := s.Lookup(x.IPv4.As4(), r.Last)
			if !ok || *m.B4 != first.B4.As16() {
				t.Errorf("%v: %v, %v, with the lwB4 %v", x.Key(), m, ok, first.B4)
				return
			}
			break
		}
	}
	byB4, all := 0, 0
	for range s.ByB4(first.B4) {
		byB4++
	}
	for x := range s.All() {
		if x.B4 == first.B4 {
			all++
		}
	}
	if byB4 != want || all != want || s.Len() != want {
		t.Errorf("%d by lwB4, %d of all, %d in total, want %d", byB4, all, s.Len(), want)
	}
}

// TestWritersTakeTurns applies batches from several goroutines. None is lost.
func TestWritersTakeTurns(t *testing.T) {
	const writers, each = 8, 100
	table := NewTable()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				s := Softwire{addr4(20<<24 + uint32(w*each+i)), portset.PortSet{}, subscriber(w*each + i), someBR}
				if err := table.Apply(Change{Put: []Softwire{s}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := table.Snapshot()
	if s.Len() != writers*each || s.Slots() != writers*each {
		t.Fatalf("%d softwires in %d slots, want %d", s.Len(), s.Slots(), writers*each)
	}
	checkStructure(t, s)
}
