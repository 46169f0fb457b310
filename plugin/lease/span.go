package lease

import (
	"cmp"
	"net/netip"
	"slices"
)

// span is a run of addresses, both ends included.
type span struct {
	first, last uint32
	ordinal     int // of first among the addresses of all spans
}

// spansOf lists the addresses of prefixes, ascending and each once, and says
// how many there are.
func spansOf(prefixes []netip.Prefix) (all []span, addresses int) {
	sorted := slices.SortedFunc(slices.Values(prefixes), func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	for _, p := range sorted {
		first, size := ip4(p.Masked().Addr()), 1<<(32-p.Bits())
		if n := len(all); n > 0 && first <= all[n-1].last {
			continue // inside the one before, which is wider
		}
		all = append(all, span{first, first + uint32(size-1), addresses})
		addresses += size
	}
	return all, addresses
}

// find returns the span that holds ip.
func find(spans []span, ip uint32) (span, bool) {
	i, exact := slices.BinarySearchFunc(spans, ip, func(s span, ip uint32) int { return cmp.Compare(s.first, ip) })
	if !exact {
		i--
	}
	if i < 0 || ip > spans[i].last {
		return span{}, false
	}
	return spans[i], true
}
