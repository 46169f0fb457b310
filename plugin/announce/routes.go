package announce

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// Route is one route that there is to announce.
type Route struct {
	Announcement
	// parts are the prefixes of pools and the BR addresses that it leads to; none of
	// a black hole.
	parts []netip.Prefix
}

// MaxRoutes is how many routes there may be.
const MaxRoutes = 4096

// Routes lists what there is to announce of pools and their BR addresses, by
// prefix. The error has the elements of c that do not go with pools, which are
// valid.
func (c Config) Routes(pools pool.Pools) ([]Route, error) {
	r := routing{aggregates: c.Aggregates, routes: make(map[netip.Prefix]*Route), tooSpecific: make(map[netip.Prefix]bool)}
	for _, p := range pools {
		for _, prefix := range p.Prefixes {
			r.lead(prefix, p.Name)
		}
		r.lead(netip.PrefixFrom(p.BR, p.BR.BitLen()), p.Name)
	}
	for i, a := range c.Aggregates {
		if r.routes[a] == nil && !r.tooSpecific[a] {
			r.refuse(element.Item("aggregates", i), "no pool and no BR address is in %s", a)
		}
	}
	index := pools.Index()
	for i, a := range c.Blackhole.Addresses {
		r.discard(element.Item("blackhole.addresses", i), a, index)
	}
	if n := len(r.routes); n > MaxRoutes {
		r.refuse("aggregates", "there are %d routes, and at most %d can be announced: aggregate pools", n, MaxRoutes)
	}
	var all []Route
	for _, one := range r.routes {
		slices.Sort(one.Pools)
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
	return all, errors.Join(r.errs...)
}

// routing is routes while they are found.
type routing struct {
	aggregates  []netip.Prefix
	routes      map[netip.Prefix]*Route
	tooSpecific map[netip.Prefix]bool // aggregates that are refused
	errs        []error
}

func (r *routing) refuse(at, format string, args ...any) {
	r.errs = append(r.errs, element.Errorf(at, format, args...))
}

// lead has a route lead to part, which is of a pool.
func (r *routing) lead(part netip.Prefix, pool string) {
	prefix := part
	for i, a := range r.aggregates {
		switch {
		case !a.Overlaps(part):
		case a.Bits() <= part.Bits():
			prefix = a
		default:
			r.tooSpecific[a] = true
			r.refuse(element.Item("aggregates", i), "%s is more specific than %s of pool %q: announce all of it, or make it two pools", a, part, pool)
		}
	}
	one := r.routes[prefix]
	if one == nil {
		one = &Route{Announcement: Announcement{Prefix: prefix}}
		r.routes[prefix] = one
	}
	if !slices.Contains(one.Pools, pool) {
		one.Pools = append(one.Pools, pool)
	}
	if !slices.Contains(one.parts, part) {
		one.parts = append(one.parts, part)
	}
}

// discard has packets to a single address discarded.
func (r *routing) discard(at string, a netip.Addr, pools *pool.Index) {
	prefix := netip.PrefixFrom(a, a.BitLen())
	switch p, ok := pools.Find(a); {
	case !ok:
		r.refuse(at, "%s is not an address of a pool", a)
	case r.routes[prefix] != nil:
		r.refuse(at, "%s is announced as it is, or there twice", a)
	default:
		r.routes[prefix] = &Route{Announcement: Announcement{Prefix: prefix, Pools: []string{p.Name}, Blackhole: true}}
	}
}
