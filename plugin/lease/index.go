package lease

import "math/bits"

// index finds records by hash. It is a hash table of chains through the records
// that grows by one chain at a time, so that no insertion pays for many
// (linear hashing).
type index struct {
	heads []ref
	count int
	chain int // which of record.next
	hash  func(*record) uint64
}

// head is the chain that a hash belongs to.
func (x *index) head(hash uint64) int {
	// Chains whose twin is there already have been split by one more bit.
	wide := uint64(1) << bits.Len(uint(len(x.heads)-1))
	if i := hash & (wide - 1); i < uint64(len(x.heads)) {
		return int(i)
	}
	return int(hash & (wide>>1 - 1))
}

func (x *index) insert(s *slab, r ref) {
	if x.count >= len(x.heads) {
		x.grow(s)
	}
	x.count++
	x.link(s, r)
}

func (x *index) link(s *slab, r ref) {
	rec := s.at(r)
	i := x.head(x.hash(rec))
	rec.next[x.chain], x.heads[i] = x.heads[i], r
}

func (x *index) remove(s *slab, r ref) {
	rec := s.at(r)
	at := &x.heads[x.head(x.hash(rec))]
	for *at != r {
		at = &s.at(*at).next[x.chain]
	}
	*at, rec.next[x.chain] = rec.next[x.chain], 0
	x.count--
}

// grow adds a chain and distributes the one that it is split from.
func (x *index) grow(s *slab) {
	if len(x.heads) == 0 {
		x.heads = make([]ref, 1)
		return
	}
	from := len(x.heads) - 1<<(bits.Len(uint(len(x.heads)))-1)
	r := x.heads[from]
	x.heads[from] = 0
	x.heads = append(x.heads, 0)
	for r != 0 {
		next := s.at(r).next[x.chain]
		x.link(s, r)
		r = next
	}
}

// each calls visit with the records of a chain until it returns false. visit
// checks that a record is one that it wants.
func (x *index) each(s *slab, hash uint64, visit func(ref, *record) bool) {
	if len(x.heads) == 0 {
		return
	}
	for r := x.heads[x.head(hash)]; r != 0; {
		rec := s.at(r)
		if !visit(r, rec) {
			return
		}
		r = rec.next[x.chain]
	}
}
