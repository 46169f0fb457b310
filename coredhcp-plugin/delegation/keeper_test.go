package delegation

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// TestSticky: who returns gets what it had, over a restart too, and others get what
// nobody has had before what has rested.
func TestSticky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := small("a", "2001:db8::/54", 56)
		r := newRig(t, pool)
		first := r.must(from("x"))
		if again := r.must(from("x")); again.Prefix != first.Prefix {
			t.Errorf("%s, and asked again %s", first.Prefix, again.Prefix)
		}
		if err := r.release(first); err != nil {
			t.Fatal(err)
		}
		if err := r.release(first); !errors.Is(err, ErrUnknown) {
			t.Errorf("released twice: %v", err)
		}
		time.Sleep(time.Hour)
		if other := r.must(from("y")); other.Prefix == first.Prefix {
			t.Error("a prefix was given away while there were new ones")
		}
		r = r.restart(pool)
		if back := r.must(from("x")); back.Prefix != first.Prefix {
			t.Errorf("had %s and gets %s after a restart", first.Prefix, back.Prefix)
		}
		// It wishes for another one, and then for nothing.
		_ = r.release(first)
		time.Sleep(time.Second)
		wish := from("x")
		wish.Want = netip.MustParsePrefix("2001:db8:0:300::/56")
		_ = r.release(r.must(wish))
		if back := r.must(from("x")); back.Prefix != wish.Want {
			t.Errorf("had %s and gets %s", wish.Want, back.Prefix)
		}
	})
}

// TestHoldDown: when nothing else is left, the prefix that has rested longest is
// given to another client, after its hold-down.
func TestHoldDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8::/55", 56))
		x, y := r.must(from("x")), r.must(from("y"))
		if _, err := r.grant(from("z")); !errors.Is(err, ErrExhausted) {
			t.Errorf("a third prefix of two: %v", err)
		}
		_ = r.release(y)
		time.Sleep(time.Minute)
		_ = r.release(x)
		time.Sleep(holdDown - time.Minute - time.Second)
		if _, err := r.grant(from("z")); !errors.Is(err, ErrExhausted) {
			t.Errorf("in hold-down: %v", err)
		}
		time.Sleep(time.Second)
		if z := r.must(from("z")); z.Prefix != y.Prefix {
			t.Errorf("%s has rested longer, and %s was given", y.Prefix, z.Prefix)
		}
		if _, err := r.grant(from("y")); !errors.Is(err, ErrExhausted) {
			t.Errorf("who had it: %v", err)
		}
	})
}

// TestExpiry: what is not renewed ends, with its softwire, which is tried until it
// succeeds; nobody else gets the prefix before.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := small("a", "2001:db8::/56", 56)
		r := newRig(t, pool)
		d := r.provisioned(from("x"))
		r.refuse = true
		time.Sleep(59 * time.Minute)
		if held := r.Held("x"); len(held) != 1 {
			t.Fatalf("after 59 minutes of an hour: %v", held)
		}
		time.Sleep(2 * time.Minute)
		if held := r.Held("x"); len(held) != 0 {
			t.Fatalf("after 61 minutes of an hour: %v", held)
		}
		time.Sleep(time.Hour)
		if _, err := r.grant(from("y")); !errors.Is(err, ErrExhausted) {
			t.Errorf("while its softwire is there: %v", err)
		}
		wish := from("y")
		wish.Want = d.Prefix
		if _, err := r.grant(wish); !errors.Is(err, ErrExhausted) {
			t.Errorf("wished for while its softwire is there: %v", err)
		}
		if s := r.Stats(); s.Owing != 1 || s.Expired != 1 {
			t.Errorf("%+v", s)
		}
		// What is owed is known after a restart, too.
		r = r.restart(pool)
		time.Sleep(2 * time.Minute)
		if r.mu.Lock(); len(r.given) != 1 || r.given[0] != d.Prefix {
			t.Errorf("given back: %v", r.given)
		}
		r.mu.Unlock()
		if y := r.must(from("y")); y.Prefix != d.Prefix || y.Owing || y.Softwire.IPv4.IsValid() {
			t.Errorf("%+v", y)
		}
	})
}

// TestUnanswered: whoever does not answer keeps no client waiting for longer than one
// try, however many softwires are to be given back.
func TestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8::/44", 56))
		set := func(refuse, deaf bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.refuse, r.deaf = refuse, deaf
		}
		set(true, false)
		for i := range settleBatch {
			if err := r.release(r.provisioned(from(fmt.Sprint("client ", i)))); err != nil {
				t.Fatal(err)
			}
		}
		set(false, true)
		time.Sleep(r.config.Retry)
		synctest.Wait() // all of them are tried to be given back now
		began := time.Now()
		for i := range settleBatch {
			r.must(from(fmt.Sprint("client ", i)))
		}
		if took := time.Since(began); took > 2*r.config.Patience {
			t.Errorf("clients that came back waited %s", took)
		}
	})
}

// provisioned grants a prefix with a softwire.
func (r *rig) provisioned(q Query) Delegation {
	r.t.Helper()
	s, err := r.Session(r.t.Context(), q.Client)
	if err != nil {
		r.t.Fatal(err)
	}
	defer s.Close()
	d, err := s.Grant(q)
	if err != nil {
		r.t.Fatal(err)
	}
	set, err := portset.Of(0, 6, 5)
	if err != nil {
		r.t.Fatal(err)
	}
	s.Provision(d.Prefix, softwire.Softwire{
		IPv4: netip.MustParseAddr("192.0.2.3"), PortSet: set,
		B4: netip.MustParseAddr("2001:db8::c000:203:5"), BR: netip.MustParseAddr("2001:db8:ffff::1"),
	}, d.Expires)
	if err := s.Commit(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return d
}

// TestReturns: a client that is back before its softwire was given back keeps it.
func TestReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8::/48", 56))
		r.refuse = true
		d := r.provisioned(from("x"))
		if err := r.release(d); err != nil {
			t.Fatal(err)
		}
		back := r.must(from("x"))
		if back.Prefix != d.Prefix || !back.Owing || !back.Softwire.IPv4.IsValid() {
			t.Errorf("%+v", back)
		}
		if s := r.Stats(); s.Owing != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestQuota: how many prefixes a client and a line may have.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := small("a", "2001:db8::/48", 56)
		pool.Quota, pool.LineQuota = 2, 3
		r := newRig(t, pool)
		ask := func(client string, iaid uint32) error {
			q := from(client)
			q.IAID, q.Line = iaid, "port 1"
			_, err := r.grant(q)
			return err
		}
		for _, c := range []struct {
			client string
			iaid   uint32
			want   error
		}{
			{"x", 1, nil}, {"x", 2, nil}, {"x", 3, ErrQuota}, {"x", 2, nil},
			{"y", 1, nil}, {"y", 2, ErrQuota}, {"z", 1, ErrQuota},
		} {
			if err := ask(c.client, c.iaid); !errors.Is(err, c.want) {
				t.Errorf("client %s, IAID %d: %v, want %v", c.client, c.iaid, err, c.want)
			}
		}
		_ = r.release(r.Held("x")[0])
		if err := ask("z", 1); err != nil {
			t.Errorf("after a release: %v", err)
		}
	})
}

// TestMoved: a client whose prefix is not of a pool for it any more gets another one
// when it renews, though its quota and its line's are used up. Nobody else gets the
// old one while it may not know.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := small("a", "2001:db8:a::/56", 56), small("b", "2001:db8:b::/56", 56)
		a.LineQuota, b.LineQuota = 1, 1
		r := newRig(t, a, b)
		q := from("x", "a")
		q.Line = "port 1"
		d := r.must(q)
		q.Pools, q.Renewing = []string{"b"}, true
		moved := r.must(q)
		if moved.Pool != "b" || len(r.Held("x")) != 1 {
			t.Errorf("has %+v, holds %+v", moved, r.Held("x"))
		}
		if _, err := r.grant(from("y", "a")); !errors.Is(err, ErrExhausted) {
			t.Errorf("somebody else, at once: %v", err)
		}
		time.Sleep(time.Until(d.Expires.Add(a.HoldDown)))
		if other := r.must(from("y", "a")); other.Prefix != d.Prefix {
			t.Errorf("somebody else, later: %+v", other)
		}
	})
}

// TestReplacedDevice: at a line, a new device takes over what the one before it
// had, and two IAs of one device do not take turns.
func TestReplacedDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8::/48", 56))
		ask := func(duid string, iaid uint32) (Delegation, error) {
			return r.grant(Query{Holder: Holder{Client: "line", DUID: duid, IAID: iaid}, Pools: []string{"a"}})
		}
		first, err := ask("old", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask("old", 2); !errors.Is(err, ErrQuota) {
			t.Errorf("a second IA of the same device: %v", err)
		}
		second, err := ask("new", 7)
		if err != nil || second.Prefix != first.Prefix || second.DUID != "new" {
			t.Errorf("%+v, %v", second, err)
		}
		if held := r.Held("line"); len(held) != 1 || held[0].IAID != 7 {
			t.Errorf("%+v", held)
		}
	})
}

// TestWishes: a prefix that is free is given to who wishes for it, a length chooses
// the pool.
func TestWishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := small("a", "2001:db8:a::/48", 56), small("b", "2001:db8:b::/48", 60)
		a.Exclude = []netip.Prefix{netip.MustParsePrefix("2001:db8:a:1000::/52")}
		r := newRig(t, a, b)
		taken := r.must(from("owner"))
		for _, c := range []struct{ name, wish, want string }{
			{"a free prefix", "2001:db8:a:4200::/56", "2001:db8:a:4200::/56"},
			{"one of the second pool", "2001:db8:b:4210::/60", "2001:db8:b:4210::/60"},
			{"somebody's", taken.Prefix.String(), "2001:db8:a::/48"},
			{"an excluded one", "2001:db8:a:1100::/56", "2001:db8:a::/48"},
			{"of another length", "2001:db8:a:4300::/57", "2001:db8:a::/48"},
			{"of nobody", "2001:db8:c::/56", "2001:db8:a::/48"},
			{"a length", "::/60", "2001:db8:b::/48"},
			{"an unknown length", "::/48", "2001:db8:a::/48"},
		} {
			q := from(c.name, "a", "b")
			q.Want = netip.MustParsePrefix(c.wish)
			d := r.must(q)
			if want := netip.MustParsePrefix(c.want); !want.Contains(d.Prefix.Addr()) || d.Prefix == taken.Prefix || d.Prefix.Addr().String() == "2001:db8:a:1100::" {
				t.Errorf("%s: %s for %s", c.name, d.Prefix, c.wish)
			}
		}
	})
}

// TestOffers: an offer keeps a prefix from others for a minute; there are so many
// and no more, and none is durable.
func TestOffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := small("a", "2001:db8::/54", 56) // four prefixes, four offers
		r := newRig(t, pool)
		offered := make(map[string]netip.Prefix)
		for _, client := range []string{"p", "q", "r", "s"} {
			for range 3 {
				d, err := r.Offer(from(client))
				if err != nil {
					t.Fatal(err)
				}
				if before, ok := offered[client]; ok && before != d.Prefix {
					t.Errorf("%s was offered %s and %s", client, before, d.Prefix)
				}
				offered[client] = d.Prefix
			}
		}
		if _, err := r.grant(from("t")); !errors.Is(err, ErrExhausted) {
			t.Errorf("all are offered: %v", err)
		}
		if d := r.must(from("q")); d.Prefix != offered["q"] {
			t.Errorf("offered %s, given %s", offered["q"], d.Prefix)
		}
		time.Sleep(61 * time.Second)
		if d := r.must(from("t")); d.Prefix == offered["q"] {
			t.Error("a prefix was given twice")
		}
		r = r.restart(pool)
		if s := r.Stats(); s.Offered != 0 || s.Pools[0].Bound != 2 {
			t.Errorf("after a restart: %+v", s)
		}
	})
}

// TestOfferFlood: many clients that only solicit use up neither memory nor prefixes.
func TestOfferFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8::/52", 56))
		for i := range 10_000 {
			if _, err := r.Offer(from(fmt.Sprint("flood ", i))); err != nil {
				t.Fatal(err)
			}
		}
		if s := r.Stats(); s.Offered > 4 {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Minute)
		for i := range 16 {
			r.must(from(fmt.Sprint("good ", i)))
		}
	})
}

// TestForgetful: a client that keeps changing IAIDs and wishes is remembered for
// a bounded number of prefixes, which nobody gets before their hold-down.
func TestForgetful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := small("a", "2001:db8::/44", 56)
		r := newRig(t, pool)
		for i := range uint32(3 * maxQuota) {
			q := from("x")
			q.IAID, q.Want = i, pool.at(i)
			if err := r.release(r.must(q)); err != nil {
				t.Fatal(err)
			}
		}
		r.Keeper.mu.Lock()
		known := 0
		for of := r.book.clients["x"]; of != nil; of = of.next {
			known++
		}
		if known > maxQuota+1 {
			t.Errorf("%d prefixes of one client are remembered", known)
		}
		r.Keeper.mu.Unlock()
		q := from("y")
		if q.Want = pool.at(0); r.must(q).Prefix == q.Want {
			t.Error("a prefix in hold-down was given away")
		}
	})
}

// TestOtherLength: a client whose pool has another length now has the new prefix in
// place of the old one, also where both have the same address.
func TestOtherLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8::/52", 56))
		before := r.must(from("x"))
		r = r.restart(small("a", "2001:db8::/52", 60))
		after := r.must(from("x"))
		if after.Prefix.Addr() != before.Prefix.Addr() || after.Prefix == before.Prefix {
			t.Fatalf("%s after %s", after.Prefix, before.Prefix)
		}
		if held := r.Held("x"); len(held) != 1 || held[0].Prefix != after.Prefix {
			t.Errorf("it holds %+v", held)
		}
	})
}

// TestMovedClient: at a link with other pools a client gets another prefix, and
// nobody the first one for as long as it was told to have it.
func TestMovedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8:a::/56", 56), small("b", "2001:db8:b::/56", 56))
		before := r.must(from("x", "a"))
		after := r.must(from("x", "b"))
		if after.Pool != "b" || len(r.Held("x")) != 1 {
			t.Errorf("%+v", r.Held("x"))
		}
		time.Sleep(59 * time.Minute)
		if _, err := r.grant(from("y", "a")); !errors.Is(err, ErrExhausted) {
			t.Errorf("while the client may use it: %v", err)
		}
		time.Sleep(holdDown + 2*time.Minute)
		if d := r.must(from("y", "a")); d.Prefix != before.Prefix {
			t.Errorf("%+v", d)
		}
	})
}

// TestPoolGone: what no pool has any more lasts as long as was told.
func TestPoolGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8:a::/48", 56))
		d := r.must(from("x"))
		r = r.restart(small("b", "2001:db8:b::/48", 56))
		if held := r.Held("x"); len(held) != 1 || held[0].Prefix != d.Prefix {
			t.Errorf("%+v", held)
		}
		if moved := r.must(from("x", "b")); moved.Pool != "b" {
			t.Errorf("%+v", moved)
		}
		time.Sleep(3 * time.Hour)
		if _, ok := r.Get(d.Prefix); ok {
			t.Error("it is remembered for ever")
		}
	})
}

// TestRenewals: renewals up to the horizon are not written, and go on without a
// store.
func TestRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8:a::/48", 56))
		r.must(from("x"))
		written := r.store.Stats().Batches
		r.store.fail(func() fate { return refused })
		for range 3 {
			time.Sleep(15 * time.Minute)
			d := r.must(from("x"))
			if left := time.Until(d.Expires); left < time.Hour {
				t.Errorf("%s are left after a renewal", left)
			}
		}
		if now := r.store.Stats().Batches; now != written {
			t.Errorf("%d batches before, %d after", written, now)
		}
		// Beyond the horizon it takes a write; without one the horizon holds.
		time.Sleep(30 * time.Minute)
		if _, err := r.grant(from("x")); err == nil {
			t.Error("extended beyond what is durable")
		}
		if held := r.Held("x"); len(held) != 1 || !held[0].Expires.Equal(held[0].Horizon) {
			t.Errorf("%+v", held)
		}
	})
}

// TestAdopted: what somebody else delegates is remembered while it lasts.
func TestAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		prefix := netip.MustParsePrefix("2001:db8:f::/56")
		s, err := r.Session(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Adopt(prefix, Holder{Client: "x", IAID: 3}, time.Hour); err != nil {
			t.Fatal(err)
		}
		s.Owe(prefix)
		if err := s.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if d, ok := r.Get(prefix); !ok || d.IAID != 3 || d.State != Bound {
			t.Errorf("%+v", d)
		}
		time.Sleep(2 * time.Hour)
		if _, ok := r.Get(prefix); ok || len(r.given) != 1 {
			t.Errorf("after it has expired: %v, given back %v", ok, r.given)
		}
	})
}

// TestHolders: who cannot be remembered gets nothing.
func TestHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8:a::/48", 56))
		for _, client := range []string{"", string(make([]byte, maxText+1))} {
			if _, err := r.grant(from(client)); !errors.Is(err, ErrInvalid) {
				t.Errorf("a client of %d octets: %v", len(client), err)
			}
		}
	})
}
