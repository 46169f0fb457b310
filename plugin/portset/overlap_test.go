package portset

import (
	"math/rand/v2"
	"testing"
)

// TestOverlapsEqualParams checks that the sets of one address that share
// parameters never overlap, and each overlaps itself.
func TestOverlapsEqualParams(t *testing.T) {
	for _, p := range allParams(t) {
		for psid := range p.Sets() {
			s := mustNew(t, p, psid)
			if !s.Overlaps(s) {
				t.Fatalf("%v does not overlap itself", s)
			}
			other := mustNew(t, p, (psid+1)%p.Sets())
			if p.Sets() > 1 && (s.Overlaps(other) || other.Overlaps(s)) {
				t.Fatalf("%v overlaps %v", s, other)
			}
		}
	}
}

// TestOverlapsShortSets compares every pair of sets of every pair of parameters
// with few PSIDs against walking all ports.
func TestOverlapsShortSets(t *testing.T) {
	const few = 2 // bits of PSID
	var chosen []Params
	for _, p := range allParams(t) {
		if p.Length() <= few {
			chosen = append(chosen, p)
		}
	}
	owners := make([][]int, len(chosen))
	for i, p := range chosen {
		owners[i] = slowOwners(p)
	}
	pairs := 0
	for i, p := range chosen {
		for j, q := range chosen[i:] {
			checkOverlaps(t, p, q, meetings(owners[i], owners[i+j]), nil)
			pairs++
		}
	}
	if pairs < 400 {
		t.Fatalf("only %d pairs of parameters", pairs)
	}
}

// TestOverlapsAnySets does the same for parameters drawn from all, with every
// pair that overlaps and a sample of the others.
func TestOverlapsAnySets(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	all := allParams(t)
	for range 60 {
		p, q := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
		checkOverlaps(t, p, q, meetings(slowOwners(p), slowOwners(q)), rng)
	}
}

// pair is a PSID of each of two parameters.
type pair struct{ p, q int }

// meetings is which pairs share a port, found by walking all ports.
func meetings(ofP, ofQ []int) map[pair]bool {
	meet := make(map[pair]bool)
	last := pair{nobody, nobody} // mostly that of the next port, too
	for port := range ofP {
		x := pair{ofP[port], ofQ[port]}
		if x != last && x.p != nobody && x.q != nobody {
			meet[x] = true
			last = x
		}
	}
	return meet
}

// checkOverlaps compares Overlaps with meet: for all pairs of sets, or with rng
// for those that meet and some others.
func checkOverlaps(t *testing.T, p, q Params, meet map[pair]bool, rng *rand.Rand) {
	t.Helper()
	check := func(x pair) {
		s, o := mustNew(t, p, x.p), mustNew(t, q, x.q)
		if s.Overlaps(o) != meet[x] || o.Overlaps(s) != meet[x] {
			t.Fatalf("%v and %v overlap: %v and %v, want %v", s, o, s.Overlaps(o), o.Overlaps(s), meet[x])
		}
	}
	if rng == nil {
		for x := range p.Sets() {
			for y := range q.Sets() {
				check(pair{x, y})
			}
		}
		return
	}
	for x := range meet {
		check(x)
	}
	for range 2000 {
		check(pair{rng.IntN(p.Sets()), rng.IntN(q.Sets())})
	}
}
