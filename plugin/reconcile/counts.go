package reconcile

import (
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Pool is how far the softwires of one pool prefix are.
type Pool struct {
	Prefix     netip.Prefix
	Desired    int // softwires that the table has
	Programmed int // of those, what the data plane holds as the table says
	// Lost is how many it did not hold when it was first read back in this
	// incarnation.
	Lost int
}

// Unprogrammed is how many softwires of the pool are not, or not rightly, in
// the data plane.
func (p Pool) Unprogrammed() int { return p.Desired - p.Programmed }

// compare orders pools by address.
func (p Pool) compare(ip netip.Addr) int { return p.Prefix.Addr().Compare(ip) }

// Sum adds up the softwires of prefixes. It is false if some of them are not
// counted yet.
func (s Stats) Sum(prefixes []netip.Prefix) (sum Pool, complete bool) {
	complete = true
	for _, prefix := range prefixes {
		i, found := slices.BinarySearchFunc(s.Pools, prefix.Addr(), Pool.compare)
		if !found || s.Pools[i].Prefix != prefix {
			complete = false
			continue
		}
		sum.Desired += s.Pools[i].Desired
		sum.Programmed += s.Pools[i].Programmed
		sum.Lost += s.Pools[i].Lost
	}
	return sum, complete
}

// counts are the numbers of desired and programmed softwires, in all and for
// each pool prefix.
type counts struct {
	all   Pool
	pools []Pool // by address
}

// newCounts has the pools of prefixes, which do not overlap.
func newCounts(prefixes []netip.Prefix) *counts {
	c := &counts{}
	for _, p := range prefixes {
		c.pools = append(c.pools, Pool{Prefix: p.Masked()})
	}
	slices.SortFunc(c.pools, func(a, b Pool) int { return a.compare(b.Prefix.Addr()) })
	return c
}

// empty is zero counts of the same pools.
func (c *counts) empty() *counts {
	e := &counts{}
	for _, p := range c.pools {
		e.pools = append(e.pools, Pool{Prefix: p.Prefix})
	}
	return e
}

// pool finds the one that ip is of; nil if it is of none.
func (c *counts) pool(ip netip.Addr) *Pool {
	i, exact := slices.BinarySearchFunc(c.pools, ip, Pool.compare)
	if !exact {
		i--
	}
	if i < 0 || !c.pools[i].Prefix.Contains(ip) {
		return nil
	}
	return &c.pools[i]
}

func (c *counts) desire(key softwire.Key, n int) {
	c.all.Desired += n
	if p := c.pool(key.IPv4); p != nil {
		p.Desired += n
	}
}

func (c *counts) program(key softwire.Key, n int) {
	c.all.Programmed += n
	if p := c.pool(key.IPv4); p != nil {
		p.Programmed += n
	}
}

// found remembers what the first read back did not find.
func (c *counts) found() {
	for i := range c.pools {
		c.pools[i].Lost = c.pools[i].Unprogrammed()
	}
}

// programmedAs takes the numbers of programmed softwires from o, which has the
// same pools.
func (c *counts) programmedAs(o *counts) {
	c.all.Programmed = o.all.Programmed
	for i := range c.pools {
		c.pools[i].Programmed = o.pools[i].Programmed
	}
}
