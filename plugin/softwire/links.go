package softwire

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// link is one softwire in the index by lwB4 address: the hash of that address,
// then the key. The address itself stands where the key leads to.
type link struct {
	hash uint32
	ip   uint32
	set  uint32 // the low half of the locator
}

func newLink(seed maphash.Seed, b4 *[16]byte, at locator) link {
	return link{hash: hashB4(seed, b4), ip: at.ip(), set: uint32(at)}
}

// hashB4 is seeded per table: subscribers choose interface identifiers, and
// must not be able to choose ones that collide.
func hashB4(seed maphash.Seed, b4 *[16]byte) uint32 {
	return uint32(maphash.Bytes(seed, b4[:]))
}

func (l link) at() locator { return locator(l.ip)<<32 | locator(l.set) }

func (l link) digit(level uint8) uint16 {
	switch {
	case level < addressLevel:
		return digitOf(l.hash, level)
	case level < 2*addressLevel:
		return digitOf(l.ip, level-addressLevel)
	}
	return digitOf(l.set, level-2*addressLevel)
}

func compareLinks(l, o link) int {
	return cmp.Or(cmp.Compare(l.hash, o.hash), cmp.Compare(l.ip, o.ip), cmp.Compare(l.set, o.set))
}

// linkNode is a radix tree of 16 branches over links, in which few links are not
// branched but a sorted list. The links of one lwB4 stand together, in the order
// of their keys. A node is not changed once the edit that made it is over.
type linkNode struct {
	epoch    uint64
	count    int            // links below
	links    []link         // all of them, or
	children *[16]*linkNode // by the digit of the node's level
}

// branchedNode is a linkNode with its children: one piece of memory to find and
// to copy instead of two.
type branchedNode struct {
	linkNode
	room [16]*linkNode
}

// listedLinks is how many links a list holds before it is branched, and half of
// it how few there are when branches become a list.
const listedLinks = 32

// eachOf calls visit with the links of hash, in order, until it returns false.
func (n *linkNode) eachOf(hash uint32, visit func(link) bool) {
	level := uint8(0)
	for n != nil && n.children != nil && level < addressLevel {
		n = n.children[digitOf(hash, level)]
		level++
	}
	n.each(func(l link) bool { return l.hash != hash || visit(l) })
}

func (n *linkNode) each(visit func(link) bool) bool {
	if n == nil {
		return true
	}
	for _, l := range n.links {
		if !visit(l) {
			return false
		}
	}
	if n.children == nil {
		return true
	}
	for _, child := range n.children {
		if !child.each(visit) {
			return false
		}
	}
	return true
}

// linkEdit makes new versions of the index, as trieEdit does of the trie.
type linkEdit struct{ epoch uint64 }

// put returns n, a node at level, with l, which is not in it.
func (e linkEdit) put(n *linkNode, l link, level uint8) *linkNode {
	if n == nil {
		return &linkNode{epoch: e.epoch, count: 1, links: []link{l}}
	}
	n = e.own(n)
	n.count++
	if n.children == nil && len(n.links) < listedLinks {
		i, _ := slices.BinarySearchFunc(n.links, l, compareLinks)
		n.links = insert(n.links, i, l)
		return n
	}
	if n.children == nil {
		b := &branchedNode{linkNode: linkNode{epoch: e.epoch, count: n.count}}
		b.children = &b.room
		for _, old := range n.links {
			e.putBelow(&b.linkNode, old, level)
		}
		n = &b.linkNode
	}
	e.putBelow(n, l, level)
	return n
}

func (e linkEdit) putBelow(n *linkNode, l link, level uint8) {
	child := &n.children[l.digit(level)]
	*child = e.put(*child, l, level+1)
}

// remove returns n, a node at level, without l, which is in it; nil if that was
// the last link.
func (e linkEdit) remove(n *linkNode, l link, level uint8) *linkNode {
	if n.count == 1 {
		return nil
	}
	n = e.own(n)
	n.count--
	if n.children == nil {
		i, _ := slices.BinarySearchFunc(n.links, l, compareLinks)
		n.links = slices.Delete(n.links, i, i+1)
		return n
	}
	child := &n.children[l.digit(level)]
	*child = e.remove(*child, l, level+1)
	if n.count <= listedLinks/2 {
		links := make([]link, 0, n.count)
		n.each(func(l link) bool { links = append(links, l); return true })
		return &linkNode{epoch: e.epoch, count: n.count, links: links}
	}
	return n
}

// own returns n when this edit made it, else a copy.
func (e linkEdit) own(n *linkNode) *linkNode {
	if n.epoch == e.epoch {
		return n
	}
	if n.children == nil {
		return &linkNode{epoch: e.epoch, count: n.count, links: slices.Clone(n.links)}
	}
	b := &branchedNode{linkNode: linkNode{epoch: e.epoch, count: n.count}, room: *n.children}
	b.children = &b.room
	return &b.linkNode
}
