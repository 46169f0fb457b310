package lease

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Configure makes pools all that there are, and applies a change to the
// softwires of the configuration, which hold their port sets for good. It is all
// or nothing. What the change removes, and others may have, is Leaving after
// that. It takes time in proportion to all leases if the pools have changed.
//
// The error is that of pools.Validate, or wraps ErrPool or ErrTaken and names
// leases that pools or softwires leave no place for.
func (b *Book) Configure(pools pool.Pools, fixed softwire.Change, now time.Time) error {
	if err := pools.Validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := configuration{b: b, fixed: fixed, now: floor(now), removed: make(map[key]bool, len(fixed.Remove))}
	for _, k := range fixed.Remove {
		c.removed[keyOf(k)] = true
	}
	if c.layout = b.layout; !reflect.DeepEqual(pools, b.defs) {
		c.layout = newLayout(pools, b.layout)
		c.checkRecords()
	}
	c.checkFixed()
	if err := c.problems.err(); err != nil {
		return err
	}
	if c.layout != b.layout {
		c.relocate()
	}
	for _, k := range fixed.Remove {
		c.release(k)
	}
	for _, sw := range fixed.Put {
		c.hold(sw)
	}
	return nil
}

// layout is which pool has which addresses.
type layout struct {
	defs   pool.Pools
	places *pool.Index
	names  map[string]*stock
	pools  []*stock
}

// newLayout is one of which nothing is in use. Pools that are drained stay so.
func newLayout(pools pool.Pools, before *layout) *layout {
	l := &layout{defs: pools, places: pools.Index(), names: make(map[string]*stock, len(pools))}
	for i, def := range pools {
		st := newStock(def, uint16(i))
		if was, ok := before.names[def.Name]; ok {
			st.draining = was.draining
		}
		l.names[def.Name] = st
		l.pools = append(l.pools, st)
	}
	return l
}

// stockOf returns the pool that has an address; nil if there is none.
func (l *layout) stockOf(ip netip.Addr) *stock {
	def, ok := l.places.Find(ip)
	if !ok {
		return nil
	}
	return l.names[def.Name]
}

// configuration is a change under way.
type configuration struct {
	*layout
	b       *Book
	fixed   softwire.Change
	now     instant
	removed map[key]bool // of fixed
	// touched has the records on addresses that fixed puts softwires on, if the
	// layout is a new one, which knows of no records yet.
	touched  map[uint32][]ref
	problems conflicts
}

// past reports whether a record matters to nobody but its last holder.
func (c *configuration) past(rec *record) bool {
	return rec.state == Resting && !rec.flags.has(reserved) && rec.until <= c.now
}

// placed reports whether a record has a place in the new layout.
func (c *configuration) placed(rec *record) error {
	ip := addr4(rec.ipv4)
	st := c.stockOf(ip)
	switch {
	case st == nil:
		return fmt.Errorf("%w: %s would be in none", ErrPool, ip)
	case rec.flags.has(configured):
	case st.fresh == nil:
		return fmt.Errorf("%w: %q would name no mechanism", ErrPool, st.def.Name)
	case !st.fits(rec) && mechanisms[rec.mechanism] != pool.Static:
		return fmt.Errorf("%w: %q would have psid-offset/psid-len %s", ErrPool, st.def.Name, st.params)
	}
	return nil
}

// checkRecords looks for leases that the new pools have no place for.
func (c *configuration) checkRecords() {
	c.touched = make(map[uint32][]ref)
	if c.b.byKey.count > 0 {
		for _, sw := range c.fixed.Put {
			c.touched[ip4(sw.IPv4)] = nil
		}
	}
	c.b.records.each(func(r ref, rec *record) {
		if _, ok := c.touched[rec.ipv4]; ok {
			c.touched[rec.ipv4] = append(c.touched[rec.ipv4], r)
		}
		if err := c.placed(rec); err != nil && !c.past(rec) && !c.removed[rec.key()] {
			c.problems.add(c.b.lease(rec), err)
		}
	})
}

// checkFixed looks for leases that the softwires of the configuration would take
// ports from.
func (c *configuration) checkFixed() {
	for _, sw := range c.fixed.Put {
		st := c.stockOf(sw.IPv4)
		if st == nil {
			c.problems.all = append(c.problems.all, fmt.Errorf("softwire %s: %w: its address is in none", sw.Key(), ErrPool))
			continue
		}
		c.eachUnder(st, sw, func(rec *record) {
			own := rec.key() == keyOf(sw.Key()) && rec.owner() == ownerOf(st.def.Subscriber(sw.B4))
			if own || rec.flags.has(configured) || c.past(rec) {
				return
			}
			c.problems.add(c.b.lease(rec), fmt.Errorf("%w: softwire %s would have ports of it", ErrTaken, sw.Key()))
		})
	}
}

// eachUnder calls visit with the records that have ports of sw, which is in st.
func (c *configuration) eachUnder(st *stock, sw softwire.Softwire, visit func(*record)) {
	if c.layout == c.b.layout {
		c.b.eachUnder(st, ip4(sw.IPv4), sw.PortSet, func(_ ref, rec *record) { visit(rec) })
		return
	}
	for _, r := range c.touched[ip4(sw.IPv4)] {
		if rec := c.b.records.at(r); rec.portSet().Overlaps(sw.PortSet) {
			visit(rec)
		}
	}
}

// relocate brings all records to the new layout.
func (c *configuration) relocate() {
	b := c.b
	b.layout, b.expiry = c.layout, heap{}
	b.records.each(func(r ref, rec *record) {
		if c.placed(rec) != nil {
			b.forget(r)
			return
		}
		rec.pool = c.stockOf(addr4(rec.ipv4)).number
	})
	b.lengths = nil
	for _, st := range b.pools {
		b.addLength(uint8(st.def.Subscriber(netip.IPv6Unspecified()).Bits()))
	}
	b.records.each(func(r ref, rec *record) {
		b.addLength(rec.bits)
		b.pools[rec.pool].occupy(r, rec)
	})
	// Only now it is known what is lendable.
	b.records.each(func(r ref, _ *record) { b.enter(r) })
}

// release ends the hold of a softwire that left the configuration.
func (c *configuration) release(k softwire.Key) {
	r := c.b.find(k)
	if r == 0 || !c.b.records.at(r).flags.has(configured) {
		return
	}
	rec := *c.b.records.at(r)
	if c.pools[rec.pool].fresh == nil {
		c.b.remove(r)
		return
	}
	rec.state, rec.flags = Leaving, rec.flags.set(configured, false)
	c.b.update(r, rec)
}

// hold gives a softwire of the configuration its port set.
func (c *configuration) hold(sw softwire.Softwire) {
	st := c.stockOf(sw.IPv4)
	// What is under it is past, its own, or one that it replaces.
	c.b.eachUnder(st, ip4(sw.IPv4), sw.PortSet, func(r ref, _ *record) { c.b.remove(r) })
	c.b.insert(c.b.pack(Lease{
		Softwire: sw, Subscriber: st.def.Subscriber(sw.B4), Pool: st.def.Name, Mechanism: pool.Static,
		State: Bound, Configured: true, Start: c.now.time(),
	}, st.number))
}

// conflicts collects leases that are in the way, the first of them by name.
type conflicts struct {
	all  []error
	more int
}

const namedConflicts = 5

func (c *conflicts) add(l Lease, why error) {
	if len(c.all) == namedConflicts {
		c.more++
		return
	}
	c.all = append(c.all, fmt.Errorf("lease %s of subscriber %s (%s): %w", l.Key(), l.Subscriber, l.State, why))
}

func (c *conflicts) err() error {
	if c.more > 0 {
		c.all = append(c.all, fmt.Errorf("and %d more leases", c.more))
	}
	return errors.Join(c.all...)
}
