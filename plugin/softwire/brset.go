package softwire

import "maps"

// brSet is the BR addresses that a snapshot's softwires use. A table has few of
// them, so entries hold an index and a change of the set copies it.
type brSet struct {
	list  [][16]byte // by index; zero where none is
	index map[[16]byte]uint32
}

// brEdit collects how a batch changes the use of BR addresses.
type brEdit struct {
	base  *brSet
	refs  []int               // of the base, by index
	free  []uint32            // indexes of the base that nothing uses
	added map[[16]byte]uint32 // indexes of addresses that the base lacks
	delta map[uint32]int      // change of the use, by index
}

// intern returns the index of br, a new one if it has none. An index that the
// batch frees is not given out again by it.
func (e *brEdit) intern(br [16]byte) uint32 {
	if i, ok := e.base.index[br]; ok {
		return i
	}
	if i, ok := e.added[br]; ok {
		return i
	}
	i := uint32(len(e.base.list) + len(e.added) - len(e.free))
	if n := len(e.added); n < len(e.free) {
		i = e.free[n]
	}
	if e.added == nil {
		e.added = make(map[[16]byte]uint32)
	}
	e.added[br] = i
	return i
}

// use counts n more uses of the BR address of index i.
func (e *brEdit) use(i uint32, n int) {
	if e.delta == nil {
		e.delta = make(map[uint32]int)
	}
	e.delta[i] += n
}

// preview is a set that has the addresses of all indexes, for naming softwires
// while the batch is under way.
func (e *brEdit) preview() *brSet {
	if len(e.added) == 0 {
		return e.base
	}
	set := &brSet{list: make([][16]byte, len(e.base.list)+max(0, len(e.added)-len(e.free)))}
	copy(set.list, e.base.list)
	for br, i := range e.added {
		set.list[i] = br
	}
	return set
}

// uses is how many softwires have the BR address of index i after the batch.
func (e *brEdit) uses(i uint32) int {
	if int(i) < len(e.refs) {
		return e.refs[i] + e.delta[i]
	}
	return e.delta[i]
}

// used reports whether br is a BR address after the batch.
func (e *brEdit) used(br [16]byte) bool {
	i, ok := e.base.index[br]
	if !ok {
		i, ok = e.added[br]
	}
	return ok && e.uses(i) > 0
}

// commit returns the set, the use counts and the free indexes after the batch.
// The counts are changed in place.
func (e *brEdit) commit() (*brSet, []int, []uint32) {
	refs := append(e.refs, make([]int, max(0, len(e.added)-len(e.free)))...)
	changed := len(e.added) > 0
	for i, d := range e.delta {
		refs[i] += d
		changed = changed || refs[i] == 0
	}
	if !changed {
		return e.base, refs, e.free
	}
	set := &brSet{list: make([][16]byte, len(refs)), index: make(map[[16]byte]uint32)}
	maps.Copy(set.index, e.base.index)
	maps.Copy(set.index, e.added)
	maps.DeleteFunc(set.index, func(_ [16]byte, i uint32) bool { return refs[i] == 0 })
	for br, i := range set.index {
		set.list[i] = br
	}
	var free []uint32
	for i, n := range refs {
		if n == 0 {
			free = append(free, uint32(i))
		}
	}
	return set, refs, free
}
