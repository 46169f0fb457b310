package announce

import (
	"net/netip"
	"slices"
)

// order is the sets that lead from one to the other so that packets of lwB4s are
// drawn here only while those for them are: IPv6 goes first and comes last. From
// nil there is one step: what peers keep from before must not look withdrawn in
// between.
func order(from, to []Announcement) [][]Announcement {
	if from == nil {
		return [][]Announcement{to}
	}
	var steps [][]Announcement
	last := from
	add := func(set []Announcement) {
		if !slices.EqualFunc(last, set, same) {
			steps = append(steps, set)
			last = set
		}
	}
	isIn := func(set []Announcement) func(Announcement) bool {
		has := make(map[netip.Prefix]bool, len(set))
		for _, a := range set {
			has[a.Prefix] = true
		}
		return func(a Announcement) bool { return has[a.Prefix] }
	}
	before, after := isIn(from), isIn(to)
	// What goes of IPv6 goes, and nothing else changes.
	add(slices.DeleteFunc(slices.Clone(from), func(a Announcement) bool { return a.Prefix.Addr().Is6() && !after(a) }))
	// All changes but what comes of IPv6.
	add(slices.DeleteFunc(slices.Clone(to), func(a Announcement) bool { return a.Prefix.Addr().Is6() && !before(a) }))
	add(to)
	return steps
}

func same(a, b Announcement) bool {
	return a.Prefix == b.Prefix && a.Drain == b.Drain && a.Blackhole == b.Blackhole && slices.Equal(a.Pools, b.Pools)
}
