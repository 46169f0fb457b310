package lease

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// model is a Book of one pool that looks at every port set each time. It is
// written from the description of what a Book does, not from its code.
type model struct {
	def    pool.Pool
	places []softwire.Key // in the order in which they are given out
	had    map[softwire.Key]Lease
}

func newModel(def pool.Pool) *model {
	m := &model{def: def, had: make(map[softwire.Key]Lease)}
	params, _ := def.Params()
	for _, prefix := range def.Prefixes {
		for ip := prefix.Addr(); prefix.Contains(ip); ip = ip.Next() {
			if slices.ContainsFunc(def.Exclude.Addresses, func(p netip.Prefix) bool { return p.Contains(ip) }) {
				continue
			}
			for psid := range params.Sets() {
				set, _ := portset.New(params, uint16(psid))
				forbidden := set.OverlapsRange(portset.Range{First: 0, Last: 1023}) || set.OverlapsRange(portset.Range{First: 5350, Last: 5351}) ||
					slices.ContainsFunc(def.Exclude.Ports, set.OverlapsRange) || slices.Contains(def.Exclude.PSIDs, uint16(psid))
				if set.Whole() || !forbidden {
					m.places = append(m.places, softwire.Key{IPv4: ip, PortSet: set})
				}
			}
		}
	}
	slices.SortFunc(m.places, func(a, b softwire.Key) int {
		if c := int(a.PortSet.PSID()) - int(b.PortSet.PSID()); def.Selection == pool.Spread && c != 0 {
			return c
		}
		return a.Compare(b)
	})
	return m
}

// choose is what a subscriber without a lease gets.
func (m *model) choose(who netip.Prefix, number uint8, want softwire.Key, now time.Time) (softwire.Key, bool) {
	var home netip.Addr
	for _, l := range m.had {
		if l.Subscriber == who && l.State == Bound {
			home = l.Softwire.IPv4
		}
	}
	best, found := Lease{}, false
	for _, l := range m.had {
		atHome := !home.IsValid() || l.Softwire.IPv4 == home
		if l.State == Resting && l.Subscriber == who && l.Number == number && atHome &&
			(!found || l.Until.After(best.Until) || l.Until.Equal(best.Until) && l.Key().Compare(best.Key()) < 0) {
			best, found = l, true
		}
	}
	if found {
		return best.Key(), true
	}
	open := func(k softwire.Key) bool {
		l, used := m.had[k]
		return !used || l.State == Resting && !l.Until.After(now)
	}
	if home.IsValid() {
		want = softwire.Key{}
	} else if slices.Contains(m.places, want) && open(want) {
		return want, true
	}
	at := home
	if !at.IsValid() && slices.ContainsFunc(m.places, func(k softwire.Key) bool { return k.IPv4 == want.IPv4 && open(k) }) {
		at = want.IPv4
	}
	var longest *Lease
	for _, k := range m.places {
		l, used := m.had[k]
		switch {
		case at.IsValid() && k.IPv4 != at || !open(k):
		case !used:
			return k, true
		case longest == nil || l.Until.Before(longest.Until) || l.Until.Equal(longest.Until) && k.Compare(longest.Key()) < 0:
			longest = &l
		}
	}
	if longest == nil {
		return softwire.Key{}, false
	}
	return longest.Key(), true
}

// TestAgainstModel: random operations at random times have the results that the
// model says; no two subscribers have the same port at the same time (I1), and
// nobody gets what another held less than a hold-down ago (I3).
func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	granted, refused, returned := 0, 0, 0
	for round := range 60 {
		def := testPool("a", "192.0.2.0/29", func(p *pool.Pool) {
			p.PSIDLen = uint8(r.IntN(5))
			p.PSIDOffset = uint8(r.IntN(3) * 3)
			p.Selection = []pool.Selection{pool.Pack, pool.Spread}[round%2]
			p.Prefixes = append(p.Prefixes, netip.MustParsePrefix("198.51.100.4/30"))
			p.Quota = uint8(1 + r.IntN(3))
			if r.IntN(2) == 0 {
				p.Exclude.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.2/31")}
				p.Exclude.Ports = []portset.Range{{First: 50000, Last: 50001}}
			}
		})
		if (pool.Pools{def}).Validate() != nil {
			continue // nothing is left
		}
		b, m := testBook(t, def), newModel(def)
		ended := make(map[softwire.Key]Lease)
		now := start
		for range 600 {
			now = now.Add(time.Duration(r.IntN(20_000)) * time.Millisecond)
			if r.IntN(30) == 0 {
				now = now.Add(def.HoldDown)
			}
			for _, l := range b.Expire(now, 1000) {
				if want := m.had[l.Key()]; want.State != Bound || want.Expires.After(now) {
					t.Fatalf("%s expired, the model has %+v", l.Key(), want)
				}
				rest(t, b, m, l, now)
				ended[l.Key()] = m.had[l.Key()]
			}
			for _, l := range m.had {
				if l.State == Bound && !l.Expires.After(now) {
					t.Fatalf("%s did not expire at %s: %+v", l.Key(), now, l)
				}
			}
			sub := r.IntN(len(m.places) + 2)
			q := Request{B4: b4(sub), Mechanism: pool.PCP, Number: uint8(r.IntN(int(def.Quota))), Lifetime: time.Duration(r.IntN(400)) * time.Second}
			if r.IntN(3) == 0 {
				q.Want = m.places[r.IntN(len(m.places))]
			}
			who := def.Subscriber(q.B4)
			var have Lease
			for _, l := range m.had {
				if l.State == Bound && l.Subscriber == who && l.Number == q.Number {
					have = l
				}
			}
			if have.State == Bound && r.IntN(3) == 0 {
				l, err := b.Leave(have.Key())
				if err != nil {
					t.Fatal(err)
				}
				rest(t, b, m, l, now)
				ended[l.Key()] = m.had[l.Key()]
				continue
			}
			want, ok := have.Key(), true
			if have.State == 0 {
				want, ok = m.choose(who, q.Number, q.Want, now)
			}
			offer, offerErr := b.Offer(q, now)
			g, err := b.Acquire(q, now)
			if ok != (err == nil) || ok && g.Lease.Key() != want {
				t.Fatalf("round %d: %s number %d wants %s: got %s, %v; the model says %s, %t", round, who, q.Number, q.Want, g.Lease.Key(), err, want, ok)
			}
			if (offerErr == nil) != ok || ok && offer.Key() != want {
				t.Fatalf("the offer was %s, %v, and the grant is %s", offer.Key(), offerErr, want)
			}
			if !ok {
				refused++
				continue
			}
			if (g.Kind == New) != (have.State == 0) {
				t.Fatalf("%s: kind %d, and the model has %+v", want, g.Kind, have)
			}
			if last, was := ended[want]; g.Kind == New && was {
				if last.Subscriber == who {
					returned++
				} else if now.Before(last.Until) {
					t.Fatalf("%s went from %s to %s at %s, before %s", want, last.Subscriber, who, now, last.Until)
				}
			}
			if r.IntN(10) == 0 && g.Kind != Existing {
				b.Undo(g)
				continue
			}
			b.Extend(g.Beyond)
			m.had[want] = g.Beyond
			granted++
			for k, l := range m.had {
				if k != want && k.IPv4 == want.IPv4 && l.State == Bound && k.PortSet.Overlaps(want.PortSet) {
					t.Fatalf("%s and %s are bound at once", k, want)
				}
			}
			if want := ceil(now.Add(def.Lifetime.Clamp(q.Lifetime))).time(); !g.Beyond.Expires.Equal(want) {
				t.Fatalf("%s expires at %s, want %s", g.Lease.Key(), g.Beyond.Expires, want)
			}
		}
		compare(t, b, m)
	}
	if granted < 1000 || refused < 100 || returned < 100 {
		t.Errorf("only %d grants, %d refusals, %d returns: not much was tried", granted, refused, returned)
	}
}

// rest takes a leaving lease to its rest.
func rest(t *testing.T, b *Book, m *model, l Lease, now time.Time) {
	t.Helper()
	l = b.Rested(l, now)
	if err := b.Rest(l); err != nil {
		t.Fatal(err)
	}
	m.had[l.Key()] = l
}

// compare looks at every lease.
func compare(t *testing.T, b *Book, m *model) {
	t.Helper()
	for k, want := range m.had {
		got, ok := b.Get(k)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y Lease) bool { return x == y })); !ok || diff != "" {
			t.Fatalf("%s: %t, -model +book:\n%s", k, ok, diff)
		}
	}
	fresh := 0
	for _, k := range m.places {
		if _, used := m.had[k]; !used {
			fresh++
		}
	}
	s := b.Stats()[0]
	if s.Lendable != len(m.places) || s.Fresh != fresh || s.Bound+s.Resting != len(m.had) {
		t.Fatalf("%+v, and the model has %d places, %d of them fresh", s, len(m.places), fresh)
	}
}
