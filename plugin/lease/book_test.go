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

// TestContact: a change of the contact alone is no change, and goes along with the
// next one.
func TestContact(t *testing.T) {
	b := testBook(t, testPool("a", "192.0.2.0/30", nil))
	with := func(nonce, contact string) Request {
		q := pcp(1)
		a, err := Attributes("").With(Nonce, nonce)
		if err == nil {
			a, err = a.With(Contact, contact)
		}
		if err != nil {
			t.Fatal(err)
		}
		q.Attributes = a
		return q
	}
	acquire(t, b, with("n", "here"), start)
	again := acquire(t, b, with("n", "there"), start.Add(time.Second))
	if again.Kind != Existing || again.Lease.Attributes != with("n", "there").Attributes {
		t.Errorf("another contact: %+v", again)
	}
	// Beyond the horizon it has to become durable, with the contact.
	late := acquire(t, b, with("n", "elsewhere"), start.Add(3*time.Minute))
	if late.Kind != Existing || late.Beyond == late.Lease || late.Beyond.Attributes != with("n", "elsewhere").Attributes {
		t.Errorf("later: %+v", late)
	}
	if changed := acquire(t, b, with("m", "elsewhere"), start.Add(4*time.Minute)); changed.Kind != Changed {
		t.Errorf("another nonce: %+v", changed)
	}
	if got := with("n", "x").Attributes.Without(Nonce); got != "\x06\x01x" {
		t.Errorf("without the nonce %q", got)
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
