package lease

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func keyOfText(t testing.TB, ip, set string) softwire.Key {
	t.Helper()
	k := softwire.Key{IPv4: netip.MustParseAddr(ip)}
	if set != "" {
		var err error
		if k.PortSet, err = portset.ParsePortSet(set); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func acquire(t testing.TB, b *Book, q Request, now time.Time) Grant {
	t.Helper()
	g, err := b.Acquire(q, now)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func pcp(subscriber int) Request { return Request{B4: b4(subscriber), Mechanism: pool.PCP} }

// end releases a lease.
func end(t testing.TB, b *Book, k softwire.Key, now time.Time) Lease {
	t.Helper()
	l, err := b.Leave(k)
	if err != nil {
		t.Fatal(err)
	}
	l = b.Rested(l, now)
	if err := b.Rest(l); err != nil {
		t.Fatal(err)
	}
	return l
}

// sizes are pools of several sizes and mechanisms, whole addresses last.
func sizes() pool.Pools {
	return pool.Pools{
		testPool("small", "192.0.2.0/30", func(p *pool.Pool) { p.PSIDLen = 6 }),
		testPool("large", "192.0.2.4/30", func(p *pool.Pool) { p.PSIDLen = 2 }),
		testPool("dhcp", "192.0.2.8/30", func(p *pool.Pool) { p.PSIDLen, p.Mechanisms = 6, []pool.Mechanism{pool.DHCPv6} }),
		testPool("whole", "198.51.100.0/30", func(p *pool.Pool) { p.PSIDLen, p.Mechanisms = 0, []pool.Mechanism{pool.PCP} }),
	}
}

// TestWhichPool: a request gets a port set of the pool and size that it names.
func TestWhichPool(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Request)
		want   string
		err    error
	}{
		{"first of the mechanism", func(*Request) {}, "small", nil},
		{"by name", func(q *Request) { q.Pool = "whole" }, "whole", nil},
		{"by size", func(q *Request) { q.Ports = 16384 }, "large", nil},
		{"whole address", func(q *Request) { q.Ports = 65536 }, "whole", nil},
		{"a size that there is not", func(q *Request) { q.Ports = 5 }, "small", nil},
		{"a size of another mechanism", func(q *Request) { q.Mechanism, q.Ports = pool.DHCPv6, 65536 }, "small", nil},
		{"unknown pool", func(q *Request) { q.Pool = "x" }, "", ErrPool},
		{"pool of others", func(q *Request) { q.Pool = "dhcp" }, "", ErrMechanism},
		{"second lease", func(q *Request) { q.Number = 1 }, "", ErrQuota},
		{"no such mechanism", func(q *Request) { q.Mechanism = "radius" }, "", ErrInvalid},
		{"no lwB4", func(q *Request) { q.B4 = netip.Addr{} }, "", ErrInvalid},
		{"link-local lwB4", func(q *Request) { q.B4 = netip.MustParseAddr("fe80::1") }, "", ErrInvalid},
		{"IPv4 subscriber", func(q *Request) { q.Subscriber = netip.MustParseAddr("192.0.2.1") }, "", ErrInvalid},
		{"negative lifetime", func(q *Request) { q.Lifetime = -1 }, "", ErrInvalid},
		{"broken attributes", func(q *Request) { q.Attributes = "\x01\x09" }, "", ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := testBook(t, sizes()...)
			before := b.Stats()
			q := pcp(1)
			tt.change(&q)
			g, err := b.Acquire(q, start)
			if !errors.Is(err, tt.err) || g.Lease.Pool != tt.want {
				t.Errorf("got %q, %v; want %q, %v", g.Lease.Pool, err, tt.want, tt.err)
			}
			for i, s := range b.Stats() {
				if err != nil && s != before[i] {
					t.Errorf("a refused request changed %+v to %+v", before[i], s)
				}
			}
		})
	}
	if _, err := testBook(t, testPool("a", "192.0.2.0/30", func(p *pool.Pool) { p.Mechanisms = nil })).Acquire(pcp(1), start); !errors.Is(err, ErrMechanism) {
		t.Errorf("from a pool that lends nothing: %v", err)
	}
}

// TestOneMechanism: who came by one mechanism gets nothing by another.
func TestOneMechanism(t *testing.T) {
	b := testBook(t, sizes()...)
	l := acquire(t, b, pcp(1), start).Lease
	q := pcp(1)
	q.Mechanism = pool.DHCPv6
	var held *HeldError
	for name, ask := range map[string]func() error{
		"Acquire": func() error { _, err := b.Acquire(q, start); return err },
		"Offer":   func() error { _, err := b.Offer(q, start); return err },
		"Renew":   func() error { _, err := b.Renew(q, start); return err },
		"Held":    func() error { _, _, err := b.Held(q); return err },
	} {
		if err := ask(); !errors.As(err, &held) || held.Lease != l || !errors.Is(err, ErrMechanism) {
			t.Errorf("%s: %v", name, err)
		}
	}
	end(t, b, l.Key(), start)
	if g := acquire(t, b, q, start); g.Lease.Mechanism != pool.DHCPv6 || g.Lease.Key() != l.Key() {
		t.Errorf("after the end of the first: %+v", g.Lease)
	}
}

// TestHorizon: nobody is promised more than what is durable.
func TestHorizon(t *testing.T) {
	b := testBook(t, testPool("a", "192.0.2.0/30", nil))
	l := acquire(t, b, pcp(1), start).Lease
	if l.Expires != start.Add(2*time.Minute) || l.Horizon != start.Add(4*time.Minute) {
		t.Fatalf("expires %s, horizon %s", l.Expires, l.Horizon)
	}
	now := start.Add(119 * time.Second)
	if g, err := b.Renew(pcp(1), now); err != nil || g.Beyond != g.Lease || g.Lease.Expires != now.Add(2*time.Minute) {
		t.Errorf("within the horizon: %+v, %v", g, err)
	}
	now = now.Add(time.Minute)
	g, err := b.Renew(pcp(1), now)
	if err != nil || g.Lease.Expires != l.Horizon || g.Beyond.Expires != now.Add(2*time.Minute) || g.Beyond.Horizon != now.Add(4*time.Minute) {
		t.Errorf("beyond the horizon: %+v, %v", g, err)
	}
	b.Extend(g.Beyond)
	if got, _ := b.Get(l.Key()); got != g.Beyond {
		t.Errorf("extended to %+v, want %+v", got, g.Beyond)
	}
	// One that asks for less has less.
	q := pcp(1)
	q.Lifetime = time.Second
	if g, err := b.Renew(q, now); err != nil || g.Lease.Expires != now.Add(time.Minute) {
		t.Errorf("shortened: %+v, %v", g.Lease, err)
	}
	if gone := b.Expire(now.Add(time.Minute), 10); len(gone) != 1 || gone[0].State != Leaving {
		t.Errorf("expired: %v", gone)
	}
	if _, err := b.Renew(pcp(1), now); !errors.Is(err, ErrUnknown) {
		t.Errorf("renewed what is leaving: %v", err)
	}
}

func TestStaticNeverExpires(t *testing.T) {
	b := testBook(t, testPool("a", "192.0.2.0/30", nil))
	q := pcp(1)
	q.Mechanism = pool.Static
	l := acquire(t, b, q, start).Lease
	if !l.Expires.IsZero() || len(b.Expire(start.Add(1e5*time.Hour), 10)) != 0 {
		t.Errorf("%+v", l)
	}
	if _, ok := b.Due(); ok {
		t.Error("something is due")
	}
	if g := acquire(t, b, q, start); g.Lease != l || g.Beyond != l {
		t.Errorf("again: %+v", g)
	}
}

func TestDrain(t *testing.T) {
	b := testBook(t, sizes()...)
	l := acquire(t, b, pcp(1), start).Lease
	if err := b.Drain("small", true); err != nil {
		t.Fatal(err)
	}
	if g, err := b.Renew(pcp(1), start.Add(time.Minute)); err != nil || g.Beyond != l {
		t.Errorf("renewed to %+v, %v", g.Beyond, err)
	}
	if g := acquire(t, b, pcp(2), start); g.Lease.Pool != "large" {
		t.Errorf("another one got %s of %s", g.Lease.Key(), g.Lease.Pool)
	}
	q := pcp(3)
	q.Pool = "small"
	if _, err := b.Acquire(q, start); !errors.Is(err, ErrPool) {
		t.Errorf("by name: %v", err)
	}
	// It stays drained when pools change, and ends when it is told to.
	if err := b.Configure(sizes()[:2], softwire.Change{}, start); err != nil {
		t.Fatal(err)
	}
	if !b.Stats()[0].Draining {
		t.Error("forgot to drain")
	}
	if err := errors.Join(b.Drain("small", false), b.Drain("x", true)); !errors.Is(err, ErrPool) {
		t.Errorf("unknown pool: %v", err)
	}
	if g := acquire(t, b, q, start); g.Lease.Pool != "small" {
		t.Errorf("got %s of %s", g.Lease.Key(), g.Lease.Pool)
	}
}

// TestExcludedLater: a lease that is excluded is not extended, and then not
// remembered.
func TestExcludedLater(t *testing.T) {
	def := testPool("a", "192.0.2.0/30", nil)
	b := testBook(t, def)
	l := acquire(t, b, pcp(1), start).Lease
	def.Exclude.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/31")}
	if err := b.Configure(pool.Pools{def}, softwire.Change{}, start); err != nil {
		t.Fatal(err)
	}
	if g := acquire(t, b, pcp(1), start.Add(time.Minute)); g.Beyond != l {
		t.Errorf("extended to %+v", g.Beyond)
	}
	rested := end(t, b, l.Key(), start)
	if g := acquire(t, b, pcp(2), start); g.Lease.Softwire.IPv4 != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("got %s", g.Lease.Key())
	}
	b.Expire(rested.Until, 10)
	if l, ok := b.Get(l.Key()); ok {
		t.Errorf("remembers %+v", l)
	}
}

func TestReserve(t *testing.T) {
	b := testBook(t, sizes()...)
	want := keyOfText(t, "192.0.2.3", "0/6/9")
	q := pcp(1)
	q.Want = want
	if g, err := b.Reserve(q, start); err != nil || g.Lease.State != Resting || g.Before.State != 0 {
		t.Fatalf("%+v, %v", g, err)
	}
	held := acquire(t, b, pcp(2), start).Lease
	rested := end(t, b, acquire(t, b, pcp(3), start).Lease.Key(), start)
	for name, tt := range map[string]struct {
		who  int
		want softwire.Key
		is   error
	}{
		"reserved":            {9, want, ErrTaken},
		"held":                {9, held.Key(), ErrTaken},
		"in hold-down":        {9, rested.Key(), ErrTaken},
		"other parameters":    {9, keyOfText(t, "192.0.2.3", "0/5/9"), ErrPool},
		"no pool":             {9, keyOfText(t, "203.0.113.1", "0/6/9"), ErrPool},
		"no port set":         {9, softwire.Key{}, ErrInvalid},
		"an excluded one":     {9, keyOfText(t, "192.0.2.3", "0/6/0"), nil},
		"its own, once more":  {1, want, nil},
		"its own in use":      {2, held.Key(), nil},
		"its own in holddown": {3, rested.Key(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			q := pcp(tt.who)
			q.Want = tt.want
			if _, err := b.Reserve(q, start); !errors.Is(err, tt.is) {
				t.Errorf("got %v, want %v", err, tt.is)
			}
		})
	}
	other := pcp(5)
	other.Want = want
	if g := acquire(t, b, other, start); g.Lease.Key() == want {
		t.Error("another one got what is reserved")
	}
	l := acquire(t, b, pcp(1), start).Lease
	if l.Key() != want || !l.Reserved {
		t.Errorf("got %+v", l)
	}
	end(t, b, want, start)
	if got, _ := b.Get(want); !got.Reserved || got.State != Resting {
		t.Errorf("after its end %+v", got)
	}
	if g, err := b.Unreserve(want); err != nil || g.Lease.Reserved {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := b.Unreserve(want); !errors.Is(err, ErrUnknown) {
		t.Errorf("twice: %v", err)
	}
}

func TestMove(t *testing.T) {
	b := testBook(t, sizes()...)
	from := acquire(t, b, pcp(1), start).Lease
	before := b.Stats()
	g, err := b.Move(from.Key(), Request{Pool: "large"}, start)
	if err != nil || g.Lease.Pool != "large" || g.Lease.Subscriber != from.Subscriber || g.From != from {
		t.Fatalf("%+v, %v", g, err)
	}
	b.Undo(g)
	for i, s := range b.Stats() {
		if s != before[i] {
			t.Errorf("undone: %+v, was %+v", s, before[i])
		}
	}
	if g, err = b.Move(from.Key(), Request{Pool: "large"}, start); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Move(from.Key(), Request{Pool: "large"}, start); !errors.Is(err, ErrUnknown) {
		t.Errorf("moved twice: %v", err)
	}
	again := acquire(t, b, pcp(1), start)
	if again.Lease != g.Lease || len(again.Moved) != 1 || again.Moved[0].Key() != from.Key() {
		t.Errorf("asked again: %+v", again)
	}
	if _, err := b.Move(g.Lease.Key(), Request{Pool: "x"}, start); !errors.Is(err, ErrPool) {
		t.Errorf("to nowhere: %v", err)
	}
	if l, _ := b.Get(g.Lease.Key()); l.Moved {
		t.Error("a move that failed left its mark")
	}
}

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

func TestAttributes(t *testing.T) {
	var a Attributes
	var err error
	for n, v := range map[Attribute]string{DUID: "\x00\x01\xff"} {
		if a, err = a.With(n, v); err != nil {
			t.Fatal(err)
		}
	}
	if a, err = a.With(Comment, `for "x"`); err != nil {
		t.Fatal(err)
	}
	if a, err = a.With(99, "z"); err != nil {
		t.Fatal(err)
	}
	if got, want := a.String(), `duid=0001ff comment="for \"x\"" 99=7a`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if v, ok := a.Get(Comment); !ok || v != `for "x"` {
		t.Errorf("got %q, %t", v, ok)
	}
	if _, ok := a.Get(Nonce); ok {
		t.Error("found what was not added")
	}
	if _, err := a.With(DUID, strings.Repeat("x", 256)); !errors.Is(err, ErrAttributes) {
		t.Errorf("too long: %v", err)
	}
	for i := range len(a) {
		if err := a[:i].Validate(); (err == nil) != (i == 0 || i == 5 || i == 14) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add("\x01\x02ab\x05\x00")
	f.Add("\x01\xff")
	f.Fuzz(func(t *testing.T, text string) {
		a := Attributes(text)
		if a.Validate() != nil {
			return
		}
		var again Attributes
		for n, v := range a.All() {
			var err error
			if again, err = again.With(n, v); err != nil {
				t.Fatal(err)
			}
		}
		if again != a {
			t.Errorf("%q becomes %q", a, again)
		}
		if len(a.String()) > maxAttributes {
			t.Error("its text is too long")
		}
	})
}
