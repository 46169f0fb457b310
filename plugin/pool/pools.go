package pool

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Pools is every pool of a router.
type Pools []Pool

// Validate reports every pool that cannot work and every two that exclude each
// other, with elements (package element) such as "[0].prefixes[1]".
func (p Pools) Validate() error {
	var errs problems
	if len(p) > maxPools {
		errs.add("", "%d pools; at most %d are allowed", len(p), maxPools)
	}
	first := make(map[string]int)
	for i, one := range p {
		errs.below = element.Item("", i)
		one.validate(&errs)
		if j, ok := first[one.Name]; ok {
			errs.add("name", "%q is the name of pool %d too", one.Name, j)
		} else {
			first[one.Name] = i
		}
	}
	p.overlaps(&errs)
	return errors.Join(errs.all...)
}

// place is one prefix with the element that holds it.
type place struct {
	prefix       netip.Prefix
	pool, number int
}

// places is every usable prefix by address, the shorter first.
func (p Pools) places() []place {
	var all []place
	for i, one := range p {
		for j, prefix := range one.Prefixes {
			if unusable(prefix) == "" {
				all = append(all, place{prefix, i, j})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b place) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	return all
}

// overlaps refuses an address in two prefixes: nobody could say whose it is.
func (p Pools) overlaps(errs *problems) {
	// In this order everything inside a prefix follows it directly, so the
	// widest prefix so far is all that the next one can overlap.
	var wide place
	for i, next := range p.places() {
		if i > 0 && wide.prefix.Overlaps(next.prefix) {
			errs.below = element.Item("", next.pool)
			errs.add(element.Item("prefixes", next.number), "%s overlaps %s of pool %q", next.prefix, wide.prefix, p[wide.pool].Name)
			continue
		}
		wide = next
	}
}

// problems collects errors of elements below one.
type problems struct {
	below string
	all   []error
}

func (p *problems) add(path, format string, args ...any) {
	at := element.Join(p.below, path)
	if at == "" {
		p.all = append(p.all, fmt.Errorf(format, args...))
		return
	}
	p.all = append(p.all, element.Errorf(at, format, args...))
}

// BRs lists the BR addresses of all pools, each once, ascending.
func (p Pools) BRs() []netip.Addr {
	var all []netip.Addr
	for _, one := range p {
		all = append(all, one.BR)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// Prefixes lists the prefixes of all pools, ascending.
func (p Pools) Prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, at := range p.places() {
		all = append(all, at.prefix)
	}
	return all
}
