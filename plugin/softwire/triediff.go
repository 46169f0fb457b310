package softwire

import "math/bits"

// addressDiff compares two tries of addresses. It skips what they share, so that
// the cost is that of the difference.
type addressDiff struct {
	// visit is called with the two versions of an address that is not the same
	// memory in both; nil stands for none. The addresses of each of the tries
	// come in order.
	visit func(from, to *address)
}

// slots compares what two tries have in the same range of keys.
func (d addressDiff) slots(from, to slot[*address]) {
	switch {
	case from == to:
	case from.child != nil && to.child != nil:
		d.nodes(from.child, to.child)
	case from.isLeaf:
		met := false
		to.each(func(a *address) bool {
			if a.ip == from.leaf.ip {
				met = true
				d.visit(from.leaf, a)
			} else {
				d.visit(nil, a)
			}
			return true
		})
		if !met {
			d.visit(from.leaf, nil)
		}
	case to.isLeaf:
		reverse := addressDiff{visit: func(x, y *address) { d.visit(y, x) }}
		reverse.slots(to, from)
	default: // one of them is empty
		from.each(func(a *address) bool { d.visit(a, nil); return true })
		to.each(func(a *address) bool { d.visit(nil, a); return true })
	}
}

func (d addressDiff) nodes(from, to *node[*address]) {
	level := min(from.level, to.level)
	if from.prefix.divergence(to.prefix) < level {
		d.slots(slot[*address]{child: from}, slot[*address]{})
		d.slots(slot[*address]{}, slot[*address]{child: to})
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
