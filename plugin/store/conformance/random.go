package conformance

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// random does random things and compares with content now and then, and after
// every restart.
func random(t *testing.T, place Place) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	want := newContent()
	s, stop := start(t, place)
	var last uint64
	for range 300 {
		switch n := r.IntN(20); {
		case n == 0:
			s, stop = restart(t, place, stop)
			want.check(t, s)
		case n == 1:
			want.check(t, s)
		case n == 2 && len(want.events) > 0:
			got, err := s.Events(t.Context(), last, 1+r.IntN(len(want.events)))
			if err != nil {
				t.Fatalf("Events: %v", err)
			}
			last = got[len(got)-1].Sequence
			if err := s.Drop(t.Context(), last); err != nil {
				t.Fatalf("Drop: %v", err)
			}
			want.events = want.events[len(got):]
		default:
			batch := randomBatch(r)
			commit(t, s, batch)
			want.do(batch)
		}
	}
	want.check(t, s)
}

func randomBatch(r *rand.Rand) store.Batch {
	var b store.Batch
	for range r.IntN(20) {
		n := uint16(r.IntN(200))
		switch r.IntN(6) {
		case 0:
			b.Put = append(b.Put, bare(n))
		case 1, 2:
			b.Put = append(b.Put, leaseOf(n, byte(r.Uint32())))
		case 3:
			b.Delete = append(b.Delete, keyOf(n))
		case 4:
			b.Events = append(b.Events, nameOf(r.Int()))
		case 5:
			v := value(fmt.Sprint("key ", r.IntN(100)), fmt.Sprint(r.Int()))
			if r.IntN(3) == 0 {
				v.Data = nil
			}
			b.Values = append(b.Values, v)
		}
	}
	// A batch that puts a lease and deletes it is for lastChangeCounts.
	b.Put = without(b.Put, b.Delete)
	return b
}

func without(leases []lease.Lease, keys []softwire.Key) []lease.Lease {
	gone := make(map[softwire.Key]bool)
	for _, k := range keys {
		gone[k] = true
	}
	var kept []lease.Lease
	for _, l := range leases {
		if !gone[l.Key()] {
			kept = append(kept, l)
		}
	}
	return kept
}
