package portset

import (
	"cmp"
	"iter"
	"slices"
)

// Range is a contiguous run of ports, both ends included. It is empty when
// First is above Last.
type Range struct{ First, Last uint16 }

// Ranges yields the set's contiguous ranges in ascending order: one when
// psid-offset is 0, else 2^a - 1.
func (s PortSet) Ranges() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		// Wider than a port, so that stepping past the last block ends the loop.
		step := 1 << (16 - s.params.offset)
		for base := int(s.params.floor()); base <= 0xffff; base += step {
			if !yield(s.block(uint16(base))) {
				return
			}
		}
	}
}

// block is the range of the set among the ports that share port's A.
func (s PortSet) block(port uint16) Range {
	shift := s.params.shift()
	var above uint16 // the bits of A
	if s.params.offset > 0 {
		above = ^uint16(0) << (16 - s.params.offset)
	}
	first := port&above | s.psid<<shift
	return Range{first, first | (1<<shift - 1)}
}

// OverlapsRange reports whether any port of r is in the set.
func (s PortSet) OverlapsRange(r Range) bool {
	r.First = max(r.First, s.params.floor())
	if r.First > r.Last {
		return false
	}
	// Either r meets the block beside its first port, or it ends before the
	// block, or it starts behind it and only the next block can be met.
	b := s.block(r.First)
	if r.First <= b.Last {
		return b.First <= r.Last
	}
	next := int(b.First) + 1<<(16-s.params.offset)
	return next <= int(r.Last)
}

// Containing yields, ascending and once each, the PSIDs whose sets hold at
// least one port of any of the ranges. It costs no more than what it yields.
func (p Params) Containing(ranges ...Range) iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		var runs []Range // of PSIDs
		for _, r := range ranges {
			runs = p.appendRuns(runs, r)
		}
		slices.SortFunc(runs, func(x, y Range) int { return cmp.Compare(x.First, y.First) })
		next := 0 // the lowest PSID not yielded yet
		for _, run := range runs {
			for psid := max(next, int(run.First)); psid <= int(run.Last); psid++ {
				if !yield(uint16(psid)) {
					return
				}
			}
			next = max(next, int(run.Last)+1)
		}
	}
}

// appendRuns appends the at most two runs of PSIDs that ports of r fall into.
func (p Params) appendRuns(runs []Range, r Range) []Range {
	r.First = max(r.First, p.floor())
	if r.First > r.Last {
		return runs
	}
	// Read together, A and PSID count upwards with the ports, and the PSID
	// wraps to 0 at each step of A.
	highest := uint16(p.Sets() - 1)
	first, last := p.field(r.First), p.field(r.Last)
	steps := r.Last>>p.shift() - r.First>>p.shift()
	switch {
	case steps >= highest:
		return append(runs, Range{0, highest})
	case first <= last:
		return append(runs, Range{first, last})
	default:
		return append(runs, Range{0, last}, Range{first, highest})
	}
}
