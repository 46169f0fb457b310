package lease

import (
	"cmp"
	"iter"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// All yields all leases in no particular order. It looks at some at a time, so that
// others do not wait long: one that comes or goes meanwhile may be yielded or not.
func (b *Book) All() iter.Seq[Lease] {
	return func(yield func(Lease) bool) {
		for chunk := 0; ; chunk++ {
			some, ok := b.chunk(chunk)
			if !ok {
				return
			}
			for _, l := range some {
				if !yield(l) {
					return
				}
			}
		}
	}
}

// chunk returns the leases of one chunk of records; not ok if there is none.
func (b *Book) chunk(n int) (some []Lease, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n >= len(b.records.chunks) {
		return nil, false
	}
	for i := range b.records.chunks[n] {
		if rec := &b.records.chunks[n][i]; rec.state != 0 {
			some = append(some, b.lease(rec))
		}
	}
	return some, true
}

// List returns the n leases with the least keys behind after that match, ordered
// by Key.Compare; behind the zero Key are all. It looks at all leases, some at a
// time, so that others do not wait long: one that comes or goes meanwhile may be
// in it or not.
func (b *Book) List(after softwire.Key, n int, match func(Lease) bool) []Lease {
	least := key(0)
	if after.IPv4.Is4() {
		least = keyOf(after) + 1
	}
	type found struct {
		key   key
		lease Lease
	}
	var all []found
	beyond := ^key(0) // keys from here on are not among the least n
	for chunk := 0; ; chunk++ {
		b.mu.Lock()
		if chunk == len(b.records.chunks) {
			b.mu.Unlock()
			break
		}
		for i := range b.records.chunks[chunk] {
			rec := &b.records.chunks[chunk][i]
			if k := rec.key(); rec.state != 0 && k >= least && k < beyond {
				if l := b.lease(rec); match(l) {
					all = append(all, found{k, l})
				}
			}
		}
		b.mu.Unlock()
		if len(all) > 2*n {
			slices.SortFunc(all, func(x, y found) int { return cmp.Compare(x.key, y.key) })
			beyond = all[n].key
			all = all[:n]
		}
	}
	slices.SortFunc(all, func(x, y found) int { return cmp.Compare(x.key, y.key) })
	// A port set may have been seen with its old lease, and with its new one.
	all = slices.CompactFunc(all, func(x, y found) bool { return x.key == y.key })
	leases := make([]Lease, min(n, len(all)))
	for i := range leases {
		leases[i] = all[i].lease
	}
	return leases
}
