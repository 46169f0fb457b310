package softwire

import "slices"

// trieEdit makes new versions of a trie. Nodes of its own epoch are in no
// published version, so it changes them in place; others it copies.
type trieEdit struct{ epoch uint64 }

// put returns the trie n with a in it, in place of what was bound on that
// address.
func (e trieEdit) put(n *node, a *address) *node {
	if n == nil {
		return e.fork(a.ip, addressLevel-1, slot{leaf: a})
	}
	if d := divergence(a.ip, n.prefix); d < n.level {
		return e.fork(a.ip, d, slot{leaf: a}, n.lone())
	}
	digit := digitOf(a.ip, n.level)
	at := n.slot(digit)
	if at.child != nil {
		if child := e.put(at.child, a); child != at.child {
			n = e.own(n)
			n.children[rank(n.childBits, 1<<digit)] = child
		}
		return n
	}
	n = e.own(n)
	switch {
	case at.leaf == nil:
		n.insertLeaf(digit, a)
	case at.leaf.ip == a.ip:
		n.leaves[rank(n.leafBits, 1<<digit)] = a
	default:
		n.dropLeaf(digit)
		n.insertChild(digit, e.fork(a.ip, divergence(a.ip, at.leaf.ip), slot{leaf: a}, at))
	}
	return n
}

// remove returns the trie n without the address ip; nil for an empty one.
func (e trieEdit) remove(n *node, ip uint32) *node {
	s := e.removeBelow(n, ip)
	if s.leaf != nil { // only one is left, and a trie is a node
		return e.fork(s.leaf.ip, addressLevel-1, s)
	}
	return s.child
}

// removeBelow is remove for any node. A single address that is left moves up
// into the parent, and a single node takes the place of its parent.
func (e trieEdit) removeBelow(n *node, ip uint32) slot {
	if n == nil {
		return slot{}
	}
	digit := digitOf(ip, n.level)
	at := n.slot(digit)
	switch {
	case at.child != nil:
		below := e.removeBelow(at.child, ip)
		if below == at {
			return slot{child: n}
		}
		n = e.own(n)
		if below.child != nil {
			n.children[rank(n.childBits, 1<<digit)] = below.child
		} else {
			n.dropChild(digit)
			n.insertLeaf(digit, below.leaf)
		}
	case at.leaf != nil && at.leaf.ip == ip:
		n = e.own(n)
		n.dropLeaf(digit)
	default:
		return slot{child: n}
	}
	return n.lone()
}

// fork returns a new node at level with the branches, which are equal up to
// there and differ at it.
func (e trieEdit) fork(prefix uint32, level uint8, branches ...slot) *node {
	n := &node{epoch: e.epoch, prefix: prefix, level: level}
	for _, b := range branches {
		if b.leaf != nil {
			n.insertLeaf(digitOf(b.leaf.ip, level), b.leaf)
		} else {
			n.insertChild(digitOf(b.child.prefix, level), b.child)
		}
	}
	return n
}

// own returns n when this edit made it, else a copy.
func (e trieEdit) own(n *node) *node {
	if n.epoch == e.epoch {
		return n
	}
	c := *n
	c.epoch = e.epoch
	c.leaves = slices.Clone(n.leaves)
	c.children = slices.Clone(n.children)
	return &c
}

func (n *node) insertLeaf(digit uint16, a *address) {
	n.leaves = insert(n.leaves, rank(n.leafBits, 1<<digit), a)
	n.leafBits |= 1 << digit
}

func (n *node) insertChild(digit uint16, child *node) {
	n.children = insert(n.children, rank(n.childBits, 1<<digit), child)
	n.childBits |= 1 << digit
}

func (n *node) dropLeaf(digit uint16) {
	i := rank(n.leafBits, 1<<digit)
	n.leaves = slices.Delete(n.leaves, i, i+1)
	n.leafBits &^= 1 << digit
}

func (n *node) dropChild(digit uint16) {
	i := rank(n.childBits, 1<<digit)
	n.children = slices.Delete(n.children, i, i+1)
	n.childBits &^= 1 << digit
}

// insert is slices.Insert that grows by a quarter: tables stay as they are for
// long, and room to grow is memory that every softwire pays for.
func insert[T any](s []T, i int, v T) []T {
	if len(s) == cap(s) {
		s = append(make([]T, 0, len(s)+len(s)/4+1), s...)
	}
	return slices.Insert(s, i, v)
}
