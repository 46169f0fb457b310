package lease

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// consistent looks at everything in b: the indices, heaps, sets and counts agree
// with the records, and no port is held twice (I1).
func consistent(t *testing.T, b *Book) {
	t.Helper()
	counts := make([]Counts, len(b.pools))
	onAddress := make(map[uint32][]record)
	records := 0
	b.records.each(func(r ref, rec *record) {
		records++
		if b.at(rec.key()) != r {
			t.Fatalf("%s is not found by its key", b.lease(rec).Key())
		}
		found := false
		b.ofSubscriber(netip.AddrFrom16(rec.subscriber), func(o ref, _ *record) { found = found || o == r })
		if !found {
			t.Fatalf("%s is not found by its subscriber", b.lease(rec).Key())
		}
		st := b.pools[rec.pool]
		if st != b.stockOf(addr4(rec.ipv4)) {
			t.Fatalf("%s is in pool %s", b.lease(rec).Key(), st.def.Name)
		}
		tally := stock{counts: counts[rec.pool]}
		tally.count(rec, 1)
		counts[rec.pool] = tally.counts
		switch h := (map[queue]*heap{toExpire: &b.expiry, toLend: &st.resting})[rec.queue]; {
		case h != nil && h.items[rec.place].r != r:
			t.Fatalf("%s is not at its place in queue %d", b.lease(rec).Key(), rec.queue)
		case rec.queue == toExpire && h.items[rec.place].when > max(rec.expires, rec.until):
			t.Fatalf("%s will expire too late", b.lease(rec).Key())
		case rec.queue == noQueue && rec.state == Bound && rec.expires != 0:
			t.Fatalf("%s will never expire", b.lease(rec).Key())
		}
		if rec.state != Resting {
			onAddress[rec.ipv4] = append(onAddress[rec.ipv4], *rec)
		}
	})
	if records != b.byKey.count || records != b.bySubscriber.count {
		t.Fatalf("%d records, %d by key, %d by subscriber", records, b.byKey.count, b.bySubscriber.count)
	}
	for _, all := range onAddress {
		for i := range all {
			for j := range i {
				if all[i].portSet().Overlaps(all[j].portSet()) {
					t.Fatalf("%s and %s are held at once", b.lease(&all[i]).Key(), b.lease(&all[j]).Key())
				}
			}
		}
	}
	heaps := []*heap{&b.expiry}
	for i, st := range b.pools {
		heaps = append(heaps, &st.resting)
		counts[i].Lendable = st.counts.Lendable
		if st.counts != counts[i] {
			t.Fatalf("pool %s counts %+v, has %+v", st.def.Name, st.counts, counts[i])
		}
		if st.fresh == nil {
			continue
		}
		for slot := range st.addresses * st.params.Sets() {
			ip, psid := st.place(slot)
			if st.slot(ip, psid) != slot {
				t.Fatalf("slot %d is %s psid %d is slot %d", slot, addr4(ip), psid, st.slot(ip, psid))
			}
			if want := st.lendable(ip, psid) && b.at(st.key(ip, psid)) == 0; st.fresh.has(slot) != want {
				t.Fatalf("%s psid %d is fresh: %t", addr4(ip), psid, !want)
			}
		}
	}
	for _, h := range heaps {
		for i := range h.items {
			if i > 0 && h.less(&b.records, i, (i-1)/2) {
				t.Fatalf("item %d of a heap is out of order", i)
			}
		}
	}
}

// randomPools are two or three pools of changing shapes on the same addresses.
func randomPools(r *rand.Rand) pool.Pools {
	var all pool.Pools
	for i, prefix := range []string{"192.0.2.0/30", "192.0.2.4/31", "198.51.100.0/31"} {
		p := testPool(string(rune('a'+i)), prefix, func(p *pool.Pool) {
			// Mostly the same, or else most changes would be refused.
			p.PSIDLen = 3
			if r.IntN(12) == 0 {
				p.PSIDLen = uint8(r.IntN(5))
			}
			p.Selection = []pool.Selection{pool.Pack, pool.Spread}[r.IntN(2)]
			p.Quota = uint8(1 + r.IntN(2))
			if r.IntN(4) == 0 {
				p.Exclude.Addresses = []netip.Prefix{netip.PrefixFrom(p.Prefixes[0].Addr(), 32)}
			}
			if r.IntN(4) == 0 {
				p.SubscriberPrefixLen = 48
			}
			if r.IntN(15) == 0 {
				p.Mechanisms = nil
			}
		})
		if r.IntN(12) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// TestConsistent does everything at random.
func TestConsistent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	did := make(map[string]int)
	note := func(what string, err error) {
		if err == nil {
			did[what]++
		}
	}
	for range 15 {
		b := NewBook()
		static := softwire.NewTable()
		now := start
		anyKey := func() softwire.Key {
			if r.IntN(3) > 0 {
				if all := b.List(softwire.Key{}, 1000, func(Lease) bool { return true }); len(all) > 0 {
					return all[r.IntN(len(all))].Key()
				}
			}
			ip := netip.MustParseAddr([]string{"192.0.2.0", "192.0.2.5", "198.51.100.1"}[r.IntN(3)])
			k := uint8(r.IntN(5))
			set, err := portset.Of(0, k, uint16(r.IntN(1<<k)))
			if err != nil {
				t.Fatal(err)
			}
			return softwire.Key{IPv4: ip, PortSet: set}
		}
		for range 400 {
			now = now.Add(time.Duration(r.IntN(15)) * time.Second)
			q := pcp(r.IntN(30))
			q.Number, q.Want = uint8(r.IntN(2)), anyKey()
			var g Grant
			var err error
			switch r.IntN(12) {
			case 0:
				// Softwires of the configuration come and go with the pools.
				next := softwire.NewTable()
				c := softwire.Change{}
				for s := range static.Snapshot().All() {
					if r.IntN(4) > 0 {
						c.Put = append(c.Put, s)
					}
				}
				if k := anyKey(); r.IntN(2) == 0 {
					c.Put = append(c.Put, softwire.Softwire{IPv4: k.IPv4, PortSet: k.PortSet, B4: b4(r.IntN(40)), BR: netip.MustParseAddr("2001:db8:ffff::1")})
				}
				pools := b.Pools()
				if r.IntN(2) == 0 {
					pools = randomPools(r)
				}
				if next.Apply(c) != nil {
					continue // they exclude each other
				}
				err := b.Configure(pools, softwire.Diff(static.Snapshot(), next.Snapshot()), now)
				note("Configure", err)
				if err == nil {
					static = next
				}
			case 1, 2:
				l, err := b.Leave(q.Want)
				note("Leave", err)
				if err == nil && r.IntN(3) > 0 {
					note("Rest", b.Rest(b.Rested(l, now)))
				}
			case 3:
				for _, l := range b.Expire(now, 5) {
					note("Expire", b.Rest(b.Rested(l, now)))
				}
			case 4:
				g, err = b.Reserve(q, now)
				note("Reserve", err)
			case 5:
				g, err = b.Unreserve(q.Want)
				note("Unreserve", err)
			case 6:
				g, err = b.Move(anyKey(), Request{Want: q.Want}, now)
				note("Move", err)
			default:
				if r.IntN(5) == 0 {
					q.Subscriber, q.B4 = q.B4, q.B4.Next()
				}
				g, err = b.Acquire(q, now)
				note("Acquire", err)
			}
			if err == nil && g.Lease.State != 0 {
				if r.IntN(8) == 0 && g.Kind != Existing {
					b.Undo(g)
					did["Undo"]++
				}
			}
			consistent(t, b)
		}
	}
	for _, what := range []string{"Configure", "Leave", "Rest", "Expire", "Reserve", "Unreserve", "Move", "Acquire", "Undo"} {
		if did[what] < 10 {
			t.Errorf("%s succeeded %d times", what, did[what])
		}
	}
	t.Log(did)
}
