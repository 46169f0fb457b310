package softwire

import "math/bits"

// trieDiff compares two tries. It skips what they share, so that the cost is
// that of the difference.
type trieDiff struct {
	// visit is called with the two versions of an address that is not the same
	// memory in both; nil stands for none. The addresses of each of the tries
	// come in order.
	visit func(from, to *address)
}

// slots compares what two tries have in the same range of addresses.
func (d trieDiff) slots(from, to slot) {
	switch {
	case from == to:
	case from.child != nil && to.child != nil:
		d.nodes(from.child, to.child)
	case from.leaf != nil:
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
	case to.leaf != nil:
		reverse := trieDiff{visit: func(x, y *address) { d.visit(y, x) }}
		reverse.slots(to, from)
	default: // one of them is empty
		from.each(func(a *address) bool { d.visit(a, nil); return true })
		to.each(func(a *address) bool { d.visit(nil, a); return true })
	}
}

func (d trieDiff) nodes(from, to *node) {
	level := min(from.level, to.level)
	if divergence(from.prefix, to.prefix) < level {
		d.slots(slot{child: from}, slot{})
		d.slots(slot{}, slot{child: to})
		return
	}
	for left := from.digits(level) | to.digits(level); left != 0; left &= left - 1 {
		digit := uint16(bits.TrailingZeros16(left))
		d.slots(from.slotAt(level, digit), to.slotAt(level, digit))
	}
}

// digits is which digits n has at level, which may be one that n skips.
func (n *node) digits(level uint8) uint16 {
	if n.level > level {
		return 1 << digitOf(n.prefix, level)
	}
	return n.leafBits | n.childBits
}

// slotAt is what n has behind digit at level, which may be one that n skips.
func (n *node) slotAt(level uint8, digit uint16) slot {
	if n.level == level {
		return n.slot(digit)
	}
	if digitOf(n.prefix, level) == digit {
		return slot{child: n}
	}
	return slot{}
}
