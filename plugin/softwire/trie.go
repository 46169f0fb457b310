package softwire

import "math/bits"

// node is a node of the table's trie: a radix tree over IPv4 addresses, cut
// into eight digits of four bits, with addresses as leaves. A digit that all
// addresses below agree in is skipped, so that a node has at least two
// branches, the root excepted, and an address costs as many steps as it takes
// to tell it apart. A node is not changed once the edit that made it is over.
type node struct {
	level     uint8      // the digit that branches are chosen by, 0 the highest
	leafBits  uint16     // which digits are addresses
	childBits uint16     // which digits are nodes; disjoint from leafBits
	prefix    uint32     // any address below; the digits before level are common
	leaves    []*address // one per bit of leafBits, ascending
	children  []*node    // one per bit of childBits, ascending
	epoch     uint64     // the edit that made the node
}

const (
	digitBits    = 4
	digitMask    = 1<<digitBits - 1
	addressLevel = 32 / digitBits // below all digits
)

// digitOf is the digit of ip at level.
func digitOf(ip uint32, level uint8) uint16 {
	return uint16(ip>>(32-digitBits-digitBits*level)) & digitMask
}

// divergence is the first level at which two addresses differ, addressLevel for
// none.
func divergence(ip, o uint32) uint8 {
	return uint8(bits.LeadingZeros32(ip^o)) / digitBits
}

// slot is what stands behind one digit of a node: an address, a node or neither.
type slot struct {
	leaf  *address
	child *node
}

func (n *node) slot(digit uint16) slot {
	bit := uint16(1) << digit
	switch {
	case n.childBits&bit != 0:
		return slot{child: n.children[rank(n.childBits, bit)]}
	case n.leafBits&bit != 0:
		return slot{leaf: n.leaves[rank(n.leafBits, bit)]}
	}
	return slot{}
}

// rank is how many bits of set are below bit: its place in a compact array.
func rank[T uint16 | uint64](set, bit T) int { return bits.OnesCount64(uint64(set & (bit - 1))) }

// find returns the address ip, nil if nothing is bound on it.
func (n *node) find(ip uint32) *address {
	for n != nil {
		s := n.slot(digitOf(ip, n.level))
		if s.leaf != nil && s.leaf.ip == ip {
			return s.leaf
		}
		n = s.child
	}
	return nil
}

// each calls visit with the addresses in order until it returns false.
func (s slot) each(visit func(*address) bool) bool {
	if s.leaf != nil {
		return visit(s.leaf)
	}
	if s.child == nil {
		return true
	}
	for left := s.child.leafBits | s.child.childBits; left != 0; left &= left - 1 {
		if !s.child.slot(uint16(bits.TrailingZeros16(left))).each(visit) {
			return false
		}
	}
	return true
}

// eachFrom is each without the addresses below ip, which it does not visit on
// the way either.
func (s slot) eachFrom(ip uint32, visit func(*address) bool) bool {
	if s.leaf != nil {
		return s.leaf.ip < ip || visit(s.leaf)
	}
	n := s.child
	if n == nil {
		return true
	}
	if d := divergence(ip, n.prefix); d < n.level {
		// All addresses here are on the same side of ip.
		return digitOf(n.prefix, d) < digitOf(ip, d) || s.each(visit)
	}
	first := digitOf(ip, n.level)
	if !n.slot(first).eachFrom(ip, visit) {
		return false
	}
	behind := ^uint16(0) << first << 1
	for left := (n.leafBits | n.childBits) & behind; left != 0; left &= left - 1 {
		if !n.slot(uint16(bits.TrailingZeros16(left))).each(visit) {
			return false
		}
	}
	return true
}

// lone is n, or what its only branch holds, or nothing.
func (n *node) lone() slot {
	switch {
	case len(n.leaves)+len(n.children) > 1:
		return slot{child: n}
	case len(n.leaves) == 1:
		return slot{leaf: n.leaves[0]}
	case len(n.children) == 1:
		return slot{child: n.children[0]}
	}
	return slot{}
}
