package softwire

import "math/bits"

// trieKey is up to 96 bits that a trie is ordered by, cut into 16 digits of six
// bits: ten in the low 60 bits of hi, then six in the low 36 bits of lo.
type trieKey struct{ hi, lo uint64 }

const (
	digitBits  = 6
	digitMask  = 1<<digitBits - 1
	hiDigits   = 10
	loDigits   = 6
	trieLevels = hiDigits + loDigits
)

// digit is the digit at level, counted from the most significant one.
func (k trieKey) digit(level uint8) uint64 {
	if level < hiDigits {
		return k.hi >> (digitBits * (hiDigits - 1 - level)) & digitMask
	}
	return k.lo >> (digitBits * (trieLevels - 1 - level)) & digitMask
}

// divergence is the first level at which k and o differ, trieLevels for none.
func (k trieKey) divergence(o trieKey) uint8 {
	if x := k.hi ^ o.hi; x != 0 {
		return hiDigits - 1 - uint8(bits.Len64(x)-1)/digitBits
	}
	if x := k.lo ^ o.lo; x != 0 {
		return trieLevels - 1 - uint8(bits.Len64(x)-1)/digitBits
	}
	return trieLevels
}

// node is a node of a path-compressed radix tree of 64 branches: a level at
// which all keys agree is skipped, so that a node below the root has at least
// two branches, and a key costs as many steps as it takes to tell it apart. The
// order is that of the keys. A node is not changed after the edit that made it.
type node[L comparable] struct {
	level     uint8      // the digit that the branches are chosen by
	leafBits  uint64     // which digits are leaves
	childBits uint64     // which digits are nodes; disjoint from leafBits
	leaves    []L        // one per bit of leafBits, ascending
	children  []*node[L] // one per bit of childBits, ascending
	prefix    trieKey    // any key below; its digits before level are those of all
	epoch     uint64     // the edit that made the node
}

// slot is what stands behind one digit of a node: a leaf, a node or neither.
type slot[L comparable] struct {
	leaf   L
	isLeaf bool
	child  *node[L] // nil for a leaf
}

func leafSlot[L comparable](leaf L) slot[L] { return slot[L]{leaf: leaf, isLeaf: true} }

func (s slot[L]) empty() bool { return !s.isLeaf && s.child == nil }

// rank is how many bits of set are below bit: its place in a compact array.
func rank(set, bit uint64) int { return bits.OnesCount64(set & (bit - 1)) }

func (n *node[L]) slot(digit uint64) slot[L] {
	bit := uint64(1) << digit
	switch {
	case n.leafBits&bit != 0:
		return leafSlot(n.leaves[rank(n.leafBits, bit)])
	case n.childBits&bit != 0:
		return slot[L]{child: n.children[rank(n.childBits, bit)]}
	}
	return slot[L]{}
}

// each calls visit with the leaves in order until it returns false.
func (n *node[L]) each(visit func(L) bool) bool { return slot[L]{child: n}.each(visit) }

func (s slot[L]) each(visit func(L) bool) bool {
	if s.isLeaf {
		return visit(s.leaf)
	}
	if s.child == nil {
		return true
	}
	for left := s.child.leafBits | s.child.childBits; left != 0; left &= left - 1 {
		if !s.child.slot(uint64(bits.TrailingZeros64(left))).each(visit) {
			return false
		}
	}
	return true
}

// under returns what stands below the first depth digits of k. A leaf in it may
// have another key; the caller compares.
func (n *node[L]) under(k trieKey, depth uint8) slot[L] {
	s := slot[L]{child: n}
	for s.child != nil && s.child.level < depth {
		s = s.child.slot(k.digit(s.child.level))
	}
	if s.child != nil && s.child.prefix.divergence(k) < depth {
		return slot[L]{}
	}
	return s
}
