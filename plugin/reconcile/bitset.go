package reconcile

import "math/bits"

// bitset is a set of slots of one snapshot.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(slot uint32) bool { return b[slot/64]&(1<<(slot%64)) != 0 }

// add and remove report whether they changed anything.
func (b bitset) add(slot uint32) bool {
	if b.has(slot) {
		return false
	}
	b[slot/64] |= 1 << (slot % 64)
	return true
}

func (b bitset) remove(slot uint32) bool {
	if !b.has(slot) {
		return false
	}
	b[slot/64] &^= 1 << (slot % 64)
	return true
}

func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}
