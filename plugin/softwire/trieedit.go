package softwire

import "slices"

// trieEditor makes new versions of a trie. Nodes of its own epoch are in no
// published version, so it changes them in place; others it copies.
type trieEditor[L comparable] struct {
	epoch uint64
	key   func(L) trieKey
}

// put returns the trie n with leaf in it, in place of one with the same key.
func (e trieEditor[L]) put(n *node[L], leaf L) *node[L] {
	return e.putKey(n, e.key(leaf), leaf)
}

func (e trieEditor[L]) putKey(n *node[L], k trieKey, leaf L) *node[L] {
	if n == nil {
		return e.fork(k, trieLevels-1, leafSlot(leaf))
	}
	if d := k.divergence(n.prefix); d < n.level {
		return e.fork(k, d, leafSlot(leaf), n.lone())
	}
	digit := k.digit(n.level)
	at := n.slot(digit)
	switch {
	case at.child != nil:
		if child := e.putKey(at.child, k, leaf); child != at.child {
			n = e.own(n)
			n.children[rank(n.childBits, 1<<digit)] = child
		}
		return n
	case at.empty():
		n = e.own(n)
		n.insertLeaf(digit, leaf)
		return n
	}
	d := k.divergence(e.key(at.leaf))
	n = e.own(n)
	if d == trieLevels {
		n.leaves[rank(n.leafBits, 1<<digit)] = leaf
		return n
	}
	n.dropLeaf(digit)
	n.insertChild(digit, e.fork(k, d, leafSlot(leaf), at))
	return n
}

// remove returns the trie n without the leaf of key k; nil for an empty one.
func (e trieEditor[L]) remove(n *node[L], k trieKey) *node[L] {
	s := e.removeBelow(n, k)
	if s.isLeaf { // only one is left, and a trie is a node
		return e.fork(e.key(s.leaf), trieLevels-1, s)
	}
	return s.child
}

// removeBelow is remove for any node. A single leaf that is left moves up into
// the parent, and a single node takes the place of its parent.
func (e trieEditor[L]) removeBelow(n *node[L], k trieKey) slot[L] {
	if n == nil {
		return slot[L]{}
	}
	digit := k.digit(n.level)
	at := n.slot(digit)
	switch {
	case at.child != nil:
		below := e.removeBelow(at.child, k)
		if below == at {
			return slot[L]{child: n}
		}
		n = e.own(n)
		if below.isLeaf {
			n.dropChild(digit)
			n.insertLeaf(digit, below.leaf)
		} else {
			n.children[rank(n.childBits, 1<<digit)] = below.child
		}
	case at.isLeaf && e.key(at.leaf) == k:
		n = e.own(n)
		n.dropLeaf(digit)
	default:
		return slot[L]{child: n}
	}
	return n.lone()
}

// lone is n, or what its only branch holds, or nothing.
func (n *node[L]) lone() slot[L] {
	switch {
	case len(n.leaves)+len(n.children) > 1:
		return slot[L]{child: n}
	case len(n.leaves) == 1:
		return leafSlot(n.leaves[0])
	case len(n.children) == 1:
		return slot[L]{child: n.children[0]}
	}
	return slot[L]{}
}

// fork returns a new node at level with the branches, whose keys are equal up
// to there and differ at it.
func (e trieEditor[L]) fork(prefix trieKey, level uint8, branches ...slot[L]) *node[L] {
	n := &node[L]{epoch: e.epoch, prefix: prefix, level: level}
	for _, b := range branches {
		if b.isLeaf {
			n.insertLeaf(e.key(b.leaf).digit(level), b.leaf)
		} else {
			n.insertChild(b.child.prefix.digit(level), b.child)
		}
	}
	return n
}

// own returns n when this edit made it, else a copy.
func (e trieEditor[L]) own(n *node[L]) *node[L] {
	if n.epoch == e.epoch {
		return n
	}
	c := *n
	c.epoch = e.epoch
	c.leaves = slices.Clone(n.leaves)
	c.children = slices.Clone(n.children)
	return &c
}

func (n *node[L]) insertLeaf(digit uint64, leaf L) {
	n.leaves = insert(n.leaves, rank(n.leafBits, 1<<digit), leaf)
	n.leafBits |= 1 << digit
}

func (n *node[L]) insertChild(digit uint64, child *node[L]) {
	n.children = insert(n.children, rank(n.childBits, 1<<digit), child)
	n.childBits |= 1 << digit
}

func (n *node[L]) dropLeaf(digit uint64) {
	i := rank(n.leafBits, 1<<digit)
	n.leaves = slices.Delete(n.leaves, i, i+1)
	n.leafBits &^= 1 << digit
}

func (n *node[L]) dropChild(digit uint64) {
	i := rank(n.childBits, 1<<digit)
	n.children = slices.Delete(n.children, i, i+1)
	n.childBits &^= 1 << digit
}

// insert is slices.Insert that grows by a quarter: nodes stay as they are for
// long, and room to grow is memory that a million softwires pay for.
func insert[T any](s []T, i int, v T) []T {
	if len(s) == cap(s) {
		s = append(make([]T, 0, len(s)+len(s)/4+1), s...)
	}
	return slices.Insert(s, i, v)
}
