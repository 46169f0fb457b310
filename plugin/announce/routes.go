package announce

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// Routes lists what there is to announce of pools and their BR addresses, by
// prefix. The error has the elements of c that do not go with pools, which are
// valid.
func (c Config) Routes(pools pool.Pools) ([]Announcement, error) {
	var errs []error
	byPrefix := make(map[netip.Prefix]*Announcement)
	parts := make(map[netip.Prefix]bool) // aggregates that are too specific
	add := func(own netip.Prefix, name string) {
		prefix := own
		for i, a := range c.Aggregates {
			switch {
			case !a.Overlaps(own):
			case a.Bits() <= own.Bits():
				prefix = a
			default:
				// Part of a pool alone leaves the rest without a route.
				parts[a] = true
				errs = append(errs, element.Errorf(element.Item("aggregates", i), "%s is more specific than %s of pool %q: announce all of it, or make it two pools", a, own, name))
			}
		}
		r := byPrefix[prefix]
		if r == nil {
			r = &Announcement{Prefix: prefix}
			byPrefix[prefix] = r
		}
		if !slices.Contains(r.Pools, name) {
			r.Pools = append(r.Pools, name)
		}
	}
	for _, p := range pools {
		for _, prefix := range p.Prefixes {
			add(prefix, p.Name)
		}
		add(netip.PrefixFrom(p.BR, p.BR.BitLen()), p.Name)
	}
	for i, a := range c.Aggregates {
		if byPrefix[a] == nil && !parts[a] {
			errs = append(errs, element.Errorf(element.Item("aggregates", i), "no pool and no BR address is in %s", a))
		}
	}
	errs = append(errs, c.blackholes(pools.Index(), byPrefix)...)
	var all []Announcement
	for _, r := range byPrefix {
		slices.Sort(r.Pools)
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Announcement) int { return a.Prefix.Compare(b.Prefix) })
	return all, errors.Join(errs...)
}

// blackholes adds the routes to addresses whose packets are to be discarded.
func (c Config) blackholes(pools *pool.Index, byPrefix map[netip.Prefix]*Announcement) (errs []error) {
	for i, a := range c.Blackhole.Addresses {
		at := element.Item("blackhole.addresses", i)
		p, ok := pools.Find(a)
		prefix := netip.PrefixFrom(a, a.BitLen())
		switch {
		case !ok:
			errs = append(errs, element.Errorf(at, "%s is not an address of a pool", a))
		case byPrefix[prefix] != nil:
			errs = append(errs, element.Errorf(at, "%s is announced as it is, or there twice", a))
		default:
			byPrefix[prefix] = &Announcement{Prefix: prefix, Pools: []string{p.Name}, Blackhole: true}
		}
	}
	return errs
}
