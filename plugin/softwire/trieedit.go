package softwire

import "slices"

// trieEditor makes new versions of a trie. Nodes of its own epoch are in no
// published version, so it changes them in place; others it copies.
type trieEditor[L any] struct {
	epoch uint64
	key   func(L) trieKey
}

// put returns the trie n with leaf in it, in place of one with the same key.
func (e trieEditor[L]) put(n *node[L], leaf L) *node[L] {
	k := e.key(leaf)
	if n == nil {
		return e.fork(k, trieLevels-1, slot[L]{leaf: &leaf})
	}
	if d := k.divergence(n.prefix); d < n.level {
		return e.fork(k, d, slot[L]{leaf: &leaf}, e.lone(n))
	}
	digit := k.digit(n.level)
	at := n.slot(digit)
	switch {
	case at.child != nil:
		if child := e.put(at.child, leaf); child != at.child {
			n = e.own(n)
			n.children[rank(n.childBits, 1<<digit)] = child
		}
		return n
	case at.leaf == nil:
		n = e.own(n)
		n.insertLeaf(digit, leaf)
		return n
	}
	d := k.divergence(e.key(*at.leaf))
	n = e.own(n)
	if d == trieLevels {
		n.leaves[rank(n.leafBits, 1<<digit)] = leaf
		return n
	}
	old := n.takeLeaf(digit)
	n.insertChild(digit, e.fork(k, d, slot[L]{leaf: &leaf}, slot[L]{leaf: &old}))
	return n
}

// remove returns the trie n without the leaf of key k; nil for an empty one.
func (e trieEditor[L]) remove(n *node[L], k trieKey) *node[L] {
	s := e.removeBelow(n, k)
	if s.leaf != nil { // only one leaf is left, and a trie is a node
		return e.fork(e.key(*s.leaf), trieLevels-1, s)
	}
	return s.child
}

// removeBelow is remove for any node. A single leaf that is left moves up into
// the parent, and a single node takes the place of its parent.
func (e trieEditor[L]) removeBelow(n *node[L], k trieKey) slot[L] {
	if n == nil {
		return slot[L]{}
	}
	same := slot[L]{child: n}
	digit := k.digit(n.level)
	at := n.slot(digit)
	switch {
	case at.leaf != nil && e.key(*at.leaf) == k:
		n = e.own(n)
		n.takeLeaf(digit)
	case at.child != nil:
		below := e.removeBelow(at.child, k)
		if below == at {
			return same
		}
		n = e.own(n)
		if below.child != nil {
			n.children[rank(n.childBits, 1<<digit)] = below.child
		} else {
			n.takeChild(digit)
			n.insertLeaf(digit, *below.leaf)
		}
	default:
		return same
	}
	return e.lone(n)
}

// lone is n, or what its only branch holds, or nothing.
func (e trieEditor[L]) lone(n *node[L]) slot[L] {
	switch {
	case len(n.leaves)+len(n.children) > 1:
		return slot[L]{child: n}
	case len(n.leaves) == 1:
		return slot[L]{leaf: &n.leaves[0]}
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
		if b.leaf != nil {
			n.insertLeaf(e.key(*b.leaf).digit(level), *b.leaf)
		} else {
			n.insertChild(b.child.prefix.digit(level), b.child)
		}
	}
	return n
}

// own returns n when this edit made it, else a copy with room for one branch.
func (e trieEditor[L]) own(n *node[L]) *node[L] {
	if n.epoch == e.epoch {
		return n
	}
	c := *n
	c.epoch = e.epoch
	c.leaves = append(make([]L, 0, len(n.leaves)+1), n.leaves...)
	c.children = append(make([]*node[L], 0, len(n.children)+1), n.children...)
	return &c
}

func (n *node[L]) insertLeaf(digit uint64, leaf L) {
	n.leaves = slices.Insert(n.leaves, rank(n.leafBits, 1<<digit), leaf)
	n.leafBits |= 1 << digit
}

func (n *node[L]) insertChild(digit uint64, child *node[L]) {
	n.children = slices.Insert(n.children, rank(n.childBits, 1<<digit), child)
	n.childBits |= 1 << digit
}

func (n *node[L]) takeLeaf(digit uint64) L {
	i := rank(n.leafBits, 1<<digit)
	leaf := n.leaves[i]
	n.leaves = slices.Delete(n.leaves, i, i+1)
	n.leafBits &^= 1 << digit
	return leaf
}

func (n *node[L]) takeChild(digit uint64) {
	i := rank(n.childBits, 1<<digit)
	n.children = slices.Delete(n.children, i, i+1)
	n.childBits &^= 1 << digit
}
