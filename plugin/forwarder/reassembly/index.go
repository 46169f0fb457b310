package reassembly

import "hash/maphash"

// none is the number of nothing, in indices, lists and chains of blocks.
const none = ^uint32(0)

// index gives keys small numbers, of which there is a fixed supply. It is a
// hash table that never allocates once it is made, and whose seed is unknown
// outside, so that nobody can choose keys that collide.
type index[K comparable] struct {
	seed    maphash.Seed
	buckets []uint32 // first entry of each, a power of two of them
	entries []entry[K]
	free    uint32 // first unused entry
}

type entry[K comparable] struct {
	key  K
	next uint32 // in its bucket, or of the unused
}

func newIndex[K comparable](size int) index[K] {
	buckets := 1
	for buckets < size {
		buckets *= 2
	}
	x := index[K]{
		seed:    maphash.MakeSeed(),
		buckets: make([]uint32, buckets),
		entries: make([]entry[K], size),
		free:    none,
	}
	for i := range x.buckets {
		x.buckets[i] = none
	}
	for i := size - 1; i >= 0; i-- {
		x.entries[i].next = x.free
		x.free = uint32(i)
	}
	return x
}

// full reports whether every number is in use.
func (x *index[K]) full() bool { return x.free == none }

func (x *index[K]) bucket(k K) *uint32 {
	return &x.buckets[maphash.Comparable(x.seed, k)&uint64(len(x.buckets)-1)]
}

// find returns the number of k, or none.
func (x *index[K]) find(k K) uint32 {
	i := *x.bucket(k)
	for i != none && x.entries[i].key != k {
		i = x.entries[i].next
	}
	return i
}

// add gives k, which has none, a number. The index must not be full.
func (x *index[K]) add(k K) uint32 {
	i := x.free
	x.free = x.entries[i].next
	b := x.bucket(k)
	x.entries[i] = entry[K]{key: k, next: *b}
	*b = i
	return i
}

// remove takes the number i back.
func (x *index[K]) remove(i uint32) {
	at := x.bucket(x.entries[i].key)
	for *at != i {
		at = &x.entries[*at].next
	}
	*at = x.entries[i].next
	x.entries[i].next = x.free
	x.free = i
}
