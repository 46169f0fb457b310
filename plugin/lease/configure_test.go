package lease

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// TestConfigured: softwires of the configuration hold their port sets, also such
// with other parameters than their pool's.
func TestConfigured(t *testing.T) {
	def := testPool("a", "192.0.2.0/31", func(p *pool.Pool) { p.PSIDLen = 3 }) // PSIDs 1 to 7
	wide := softwire.Softwire{IPv4: netip.MustParseAddr("192.0.2.0"), PortSet: keyOfText(t, "192.0.2.0", "0/1/0").PortSet, B4: b4(100), BR: def.BR}
	b := testBook(t, def)
	fixed := softwire.Change{Put: []softwire.Softwire{wide}}
	if err := b.Configure(pool.Pools{def}, fixed, start); err != nil {
		t.Fatal(err)
	}
	// PSIDs 4 to 7 are left on the first address.
	if l := acquire(t, b, pcp(1), start).Lease; l.Key() != keyOfText(t, "192.0.2.0", "0/3/4") {
		t.Errorf("got %s", l.Key())
	}
	q := pcp(2)
	q.Want = keyOfText(t, "192.0.2.0", "0/3/2")
	if _, err := b.Reserve(q, start); !errors.Is(err, ErrTaken) {
		t.Errorf("reserved what is taken: %v", err)
	}
	if l, ok := b.Get(wide.Key()); !ok || !l.Configured || l.Mechanism != pool.Static || l.State != Bound {
		t.Errorf("%+v", l)
	}
	if _, err := b.Leave(wide.Key()); !errors.Is(err, ErrUnknown) {
		t.Errorf("released a softwire of the configuration: %v", err)
	}

	clash := wide
	clash.PortSet = keyOfText(t, "192.0.2.0", "0/1/1").PortSet
	err := b.Configure(pool.Pools{def}, softwire.Change{Put: []softwire.Softwire{clash}}, start)
	if !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "192.0.2.0 psid 0/3/4") {
		t.Errorf("ports of a lease: %v", err)
	}
	if err := b.Configure(pool.Pools{def}, softwire.Change{Put: []softwire.Softwire{{IPv4: netip.MustParseAddr("203.0.113.1"), B4: b4(1), BR: def.BR}}}, start); !errors.Is(err, ErrPool) {
		t.Errorf("in no pool: %v", err)
	}

	// It leaves, rests, and what it covered is fresh again.
	if err := b.Configure(pool.Pools{def}, softwire.Change{Remove: []softwire.Key{wide.Key()}}, start); err != nil {
		t.Fatal(err)
	}
	l, _ := b.Get(wide.Key())
	if l.State != Leaving || l.Configured {
		t.Fatalf("%+v", l)
	}
	fresh := b.Stats()[0].Fresh
	l = b.Rested(l, start)
	if err := b.Rest(l); err != nil {
		t.Fatal(err)
	}
	narrow := wide
	narrow.PortSet, narrow.B4 = keyOfText(t, "192.0.2.0", "0/2/0").PortSet, b4(101)
	over := softwire.Change{Put: []softwire.Softwire{narrow}}
	for name, pools := range map[string]pool.Pools{
		"same pools": {def}, "other pools": {testPool("b", "192.0.2.0/31", func(p *pool.Pool) { p.PSIDLen = 3 })},
	} {
		if err := b.Configure(pools, over, start); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: a softwire over one in hold-down: %v", name, err)
		}
	}
	// The hold-down outlasts the process.
	after := testBook(t, def)
	if err := after.Restore(l, start); err != nil {
		t.Fatal(err)
	}
	if g := acquire(t, after, pcp(1), start); g.Lease.Key() != keyOfText(t, "192.0.2.0", "0/3/4") {
		t.Errorf("during the hold-down it gave %s", g.Lease.Key())
	}
	static := NewBook()
	if err := static.Configure(pool.Pools{def}, over, start); err != nil {
		t.Fatal(err)
	}
	if err := static.Restore(l, start); !errors.Is(err, ErrTaken) {
		t.Errorf("restored under another softwire: %v", err)
	}
	b.Expire(l.Until.Add(-time.Second), 10)
	if got := b.Stats()[0].Fresh; got != fresh {
		t.Errorf("%d fresh port sets during the hold-down, %d before", got, fresh)
	}
	b.Expire(l.Until, 10)
	if got := b.Stats()[0].Fresh; got != fresh+3 {
		t.Errorf("%d fresh port sets after it, want %d", got, fresh+3)
	}
}

// TestConfigureRefused: pools that leave no place for a lease change nothing.
func TestConfigureRefused(t *testing.T) {
	def := testPool("a", "192.0.2.0/30", nil)
	b := testBook(t, def)
	var last Lease
	for i := range 8 {
		last = acquire(t, b, pcp(i), start).Lease
	}
	other := func(change func(*pool.Pool)) pool.Pools {
		p := def
		change(&p)
		return pool.Pools{p}
	}
	for name, pools := range map[string]pool.Pools{
		"none":         nil,
		"psid-len":     other(func(p *pool.Pool) { p.PSIDLen = 5 }),
		"prefix":       other(func(p *pool.Pool) { p.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.4/30")} }),
		"no mechanism": other(func(p *pool.Pool) { p.Mechanisms = nil }),
	} {
		err := b.Configure(pools, softwire.Change{}, start)
		if !errors.Is(err, ErrPool) || !strings.Contains(err.Error(), "and 3 more leases") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Configure(pool.Pools{{}}, softwire.Change{}, start); err == nil {
		t.Error("took a pool that is none")
	}
	if s := b.Stats()[0]; s.Bound != 8 || len(b.Pools()) != 1 {
		t.Errorf("%+v", s)
	}
	// Other terms, a new name, more prefixes and another order are no problem.
	grown := other(func(p *pool.Pool) {
		p.Name, p.Selection, p.SubscriberPrefixLen = "b", pool.Spread, 48
		p.Prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), p.Prefixes[0]}
		p.BR = netip.MustParseAddr("2001:db8:ffff::2")
	})
	if err := b.Configure(grown, softwire.Change{}, start); err != nil {
		t.Fatal(err)
	}
	g := acquire(t, b, pcp(7), start)
	if g.Kind != Changed || g.Lease.Key() != last.Key() || g.Lease.Pool != "b" || g.Lease.Softwire.BR != grown[0].BR {
		t.Errorf("%+v", g.Lease)
	}
	if brs := b.BRs(); len(brs) != 2 {
		t.Errorf("BR addresses %v", brs)
	}
}

// TestRestore: what was durable has the same effect after a restart.
func TestRestore(t *testing.T) {
	b := testBook(t, sizes()...)
	bound := acquire(t, b, pcp(1), start).Lease
	held := end(t, b, acquire(t, b, pcp(2), start).Lease.Key(), start.Add(time.Hour))
	free := end(t, b, acquire(t, b, pcp(3), start).Lease.Key(), start)
	now := start.Add(time.Hour)

	after := testBook(t, sizes()...)
	for _, l := range []Lease{bound, held, free} {
		if err := after.Restore(l, now); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := after.Get(bound.Key()); got.Expires != bound.Horizon {
		t.Errorf("it lasts until %s, and its horizon is %s", got.Expires, bound.Horizon)
	}
	for i, want := range []Lease{held, free} {
		if g := acquire(t, after, pcp(i+2), now); g.Lease.Key() != want.Key() {
			t.Errorf("subscriber %d got %s, had %s", i+2, g.Lease.Key(), want.Key())
		}
	}

	other := testBook(t, testPool("a", "192.0.2.0/30", nil))
	for name, tt := range map[string]struct {
		lease Lease
		now   time.Time
		is    error
	}{
		"bound": {bound, start, ErrPool}, "expired": {bound, now, nil},
		"in hold-down": {held, now, ErrPool}, "free": {free, now, nil},
	} {
		if err := other.Restore(tt.lease, tt.now); !errors.Is(err, tt.is) {
			t.Errorf("%s with other parameters: %v", name, err)
		}
	}
	fixed := bound.Softwire
	fixed.B4 = b4(9)
	if err := b.Configure(sizes(), softwire.Change{Put: []softwire.Softwire{fixed}}, now); !errors.Is(err, ErrTaken) {
		t.Errorf("a softwire on a lease: %v", err)
	}
	static := testBook(t)
	if err := static.Configure(sizes(), softwire.Change{Put: []softwire.Softwire{fixed}}, now); err != nil {
		t.Fatal(err)
	}
	if err := static.Restore(bound, now); !errors.Is(err, ErrTaken) {
		t.Errorf("a lease on a softwire: %v", err)
	}
	own := testBook(t)
	if err := own.Configure(sizes(), softwire.Change{Put: []softwire.Softwire{bound.Softwire}}, now); err != nil {
		t.Fatal(err)
	}
	if err := own.Restore(bound, now); err != nil {
		t.Errorf("a lease that became a softwire of the configuration: %v", err)
	}
	if l, _ := own.Get(bound.Key()); !l.Configured {
		t.Errorf("%+v", l)
	}
}
