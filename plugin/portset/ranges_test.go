package portset

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// someRanges are the edges of what p does and, drawn by rng, ranges of all
// lengths, a few of them empty.
func someRanges(p Params, rng *rand.Rand, drawn int) []Range {
	ranges := []Range{{0, 0}, {0, 65535}, {65535, 65535}, {0, 1023}, {1, 0}, {65535, 0}, {1023, 1024}}
	for _, s := range []PortSet{{params: p}, {params: p, psid: uint16(p.Sets() - 1)}} {
		for r := range s.Ranges() {
			ranges = append(ranges, r,
				Range{r.Last, r.First}, // empty unless it is one port
				Range{r.First - 1, r.First - 1}, Range{r.Last + 1, r.Last + 1},
				Range{r.Last, r.Last + 1}, Range{r.First - 1, r.First})
			if len(ranges) > 40 {
				break
			}
		}
	}
	for range drawn {
		first := rng.IntN(65536)
		last := first + rng.IntN(power(rng.IntN(17))) - 1
		ranges = append(ranges, Range{uint16(first), uint16(min(max(last, 0), 65535))})
	}
	return ranges
}

// holders is which PSIDs own a port of the ranges, found by walking them.
func holders(owners []int, ranges ...Range) map[int]bool {
	found := make(map[int]bool)
	for _, r := range ranges {
		for port := int(r.First); port <= int(r.Last); port++ {
			if owners[port] != nobody {
				found[owners[port]] = true
			}
		}
	}
	return found
}

// TestRangeQueries checks OverlapsRange and Containing with all parameters
// against walking the ports.
func TestRangeQueries(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, p := range allParams(t) {
		owners := slowOwners(p)
		ranges := someRanges(p, rng, 20)
		for _, r := range ranges {
			want := holders(owners, r)
			checkContaining(t, p, want, r)
			for range 40 {
				s := mustNew(t, p, rng.IntN(p.Sets()))
				if got := s.OverlapsRange(r); got != want[int(s.PSID())] {
					t.Fatalf("%v overlaps %v: %v", s, r, got)
				}
			}
		}
		for range 5 {
			several := []Range{ranges[rng.IntN(len(ranges))], ranges[rng.IntN(len(ranges))], ranges[rng.IntN(len(ranges))]}
			checkContaining(t, p, holders(owners, several...), several...)
		}
		checkContaining(t, p, nil)
	}
}

// TestOverlapsRangeEverySet asks every set of all parameters about one range.
func TestOverlapsRangeEverySet(t *testing.T) {
	for _, p := range allParams(t) {
		owners := slowOwners(p)
		for _, r := range []Range{{0, 1023}, {5350, 5351}, {1000, 40000}} {
			want := holders(owners, r)
			for psid := range p.Sets() {
				if got := mustNew(t, p, psid).OverlapsRange(r); got != want[psid] {
					t.Fatalf("%v psid %d overlaps %v: %v", p, psid, r, got)
				}
			}
		}
	}
}

func checkContaining(t *testing.T, p Params, want map[int]bool, ranges ...Range) {
	t.Helper()
	got := slices.Collect(p.Containing(ranges...))
	if len(got) != len(want) {
		t.Fatalf("%v: %d PSIDs contain %v, want %d", p, len(got), ranges, len(want))
	}
	for i, psid := range got {
		if !want[int(psid)] || i > 0 && got[i-1] >= psid {
			t.Fatalf("%v: PSIDs that contain %v: unexpected %d at position %d", p, ranges, psid, i)
		}
	}
}
