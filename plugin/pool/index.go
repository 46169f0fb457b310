package pool

import (
	"net/netip"
	"slices"
)

// Index finds the pool of an address. It is immutable and may be shared.
type Index struct {
	pools  Pools
	places []place
}

// Index is made from pools that Validate accepts.
func (p Pools) Index() *Index { return &Index{p, p.places()} }

// Find returns the pool that holds the IPv4 address ip.
func (x *Index) Find(ip netip.Addr) (Pool, bool) {
	// The last prefix that starts at or below ip is the only candidate, since
	// prefixes do not overlap.
	i, exact := slices.BinarySearchFunc(x.places, ip, func(at place, ip netip.Addr) int {
		return at.prefix.Addr().Compare(ip)
	})
	if !exact {
		i--
	}
	if i < 0 || !x.places[i].prefix.Contains(ip) {
		return Pool{}, false
	}
	return x.pools[x.places[i].pool], true
}
