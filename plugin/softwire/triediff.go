package softwire

import "math/bits"

// diffTries calls visit, in order of the keys of each trie, with each pair of leaves of equal
// key, and with nil for the missing one of a key that only one trie has. What
// both tries share is skipped, so that the cost is that of the difference.
func diffTries[L any](from, to *node[L], key func(L) trieKey, visit func(from, to *L)) {
	d := trieDiff[L]{key: key, visit: visit}
	d.slots(slot[L]{child: from}, slot[L]{child: to})
}

type trieDiff[L any] struct {
	key   func(L) trieKey
	visit func(from, to *L)
}

// slots compares what two tries have in the same range of keys.
func (d trieDiff[L]) slots(from, to slot[L]) {
	switch {
	case from == to:
	case from.child != nil && to.child != nil:
		d.nodes(from.child, to.child)
	case from.leaf != nil && to.leaf != nil:
		if d.key(*from.leaf) == d.key(*to.leaf) {
			d.visit(from.leaf, to.leaf)
			return
		}
		d.visit(from.leaf, nil)
		d.visit(nil, to.leaf)
	case from.leaf != nil:
		d.oneToMany(from.leaf, to, d.visit)
	case to.leaf != nil:
		d.oneToMany(to.leaf, from, func(to, from *L) { d.visit(from, to) })
	default: // one of them is empty
		from.each(func(l *L) bool { d.visit(l, nil); return true })
		to.each(func(l *L) bool { d.visit(nil, l); return true })
	}
}

// oneToMany compares a leaf on one side with any number on the other.
func (d trieDiff[L]) oneToMany(one *L, many slot[L], visit func(one, other *L)) {
	k, met := d.key(*one), false
	many.each(func(l *L) bool {
		if d.key(*l) == k {
			met = true
			visit(one, l)
		} else {
			visit(nil, l)
		}
		return true
	})
	if !met {
		visit(one, nil)
	}
}

func (d trieDiff[L]) nodes(from, to *node[L]) {
	level := min(from.level, to.level)
	if from.prefix.divergence(to.prefix) < level {
		d.slots(slot[L]{child: from}, slot[L]{})
		d.slots(slot[L]{}, slot[L]{child: to})
		return
	}
	for left := from.digits(level) | to.digits(level); left != 0; left &= left - 1 {
		digit := uint64(bits.TrailingZeros64(left))
		d.slots(from.slotAt(level, digit), to.slotAt(level, digit))
	}
}

// digits is which digits n has at level, which may be one that n skips.
func (n *node[L]) digits(level uint8) uint64 {
	if n.level > level {
		return 1 << n.prefix.digit(level)
	}
	return n.leafBits | n.childBits
}

// slotAt is what n has behind digit at level, which may be one that n skips.
func (n *node[L]) slotAt(level uint8, digit uint64) slot[L] {
	if n.level == level {
		return n.slot(digit)
	}
	if n.prefix.digit(level) == digit {
		return slot[L]{child: n}
	}
	return slot[L]{}
}
