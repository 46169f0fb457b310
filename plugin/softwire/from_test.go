package softwire

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// TestFromIsARestOfAll holds From against what All yields, with keys that are
// in the table and keys that are not.
func TestFromIsARestOfAll(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newWorld(t, seed)
	table, m := NewTable(), model{}
	present, absent := 0, 0
	check := func(s *Snapshot, all []Softwire, k Key) {
		t.Helper()
		at, found := slices.BinarySearchFunc(all, k, func(s Softwire, k Key) int { return s.Key().Compare(k) })
		if got := slices.Collect(s.From(k)); !slices.Equal(got, all[at:]) {
			t.Fatalf("from %s: %d softwires, want the last %d of %d", k, len(got), len(all)-at, len(all))
		}
		if found {
			present++
		} else {
			absent++
		}
	}
	for range 200 {
		c := w.change(m)
		if next, err := m.apply(c); err == nil {
			if err := table.Apply(c); err != nil {
				t.Fatal(err)
			}
			m = next
		}
		s := table.Snapshot()
		all := slices.Collect(s.All())
		for range 20 {
			k := w.softwire().Key()
			if len(all) > 0 && w.rng.IntN(2) == 0 {
				k = pick(w.rng, all).Key()
			}
			if w.rng.IntN(2) == 0 {
				// An address near one of the table's, or anywhere.
				ip := k.IPv4.As4()
				ip[w.rng.IntN(4)] += byte(w.rng.IntN(3) - 1)
				k.IPv4 = netip.AddrFrom4(ip)
			}
			check(s, all, k)
		}
	}
	if present < 100 || absent < 100 {
		t.Fatalf("%d keys of the table and %d others: too few to mean anything", present, absent)
	}
}

func TestFromAtTheEdges(t *testing.T) {
	set := func(a, k uint8, psid uint16) portset.PortSet {
		s, err := portset.Of(a, k, psid)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	whole := set(0, 0, 0)
	softwire := func(ip string, set portset.PortSet) Softwire {
		return Softwire{
			IPv4: netip.MustParseAddr(ip), PortSet: set,
			B4: netip.MustParseAddr("2001:db8::1"), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		}
	}
	all := []Softwire{
		softwire("1.0.0.0", whole),
		softwire("192.0.2.1", set(0, 10, 63)), softwire("192.0.2.1", set(0, 10, 64)),
		softwire("192.0.2.1", set(0, 10, 1023)), softwire("192.0.2.2", whole),
		softwire("223.255.255.255", whole),
	}
	table := NewTable()
	if err := table.Apply(Change{Put: all}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		from Key
		want []Softwire
	}{
		{"no address", Key{}, all},
		{"first address of all", Key{IPv4: netip.MustParseAddr("0.0.0.0")}, all},
		{"the first softwire", all[0].Key(), all},
		{"behind a whole address", Key{all[0].IPv4, set(0, 1, 0)}, all[1:]},
		{"an address alone", Key{IPv4: all[1].IPv4}, all[1:]},
		{"a last PSID of a block", all[1].Key(), all[1:]},
		{"the next block", all[2].Key(), all[2:]},
		{"between blocks", Key{all[2].IPv4, set(0, 10, 65)}, all[3:]},
		{"behind the parameters", Key{all[1].IPv4, set(1, 10, 0)}, all[4:]},
		{"the last softwire", all[5].Key(), all[5:]},
		{"behind the last one", Key{all[5].IPv4, set(0, 1, 0)}, nil},
		{"last address of all", Key{IPv4: netip.MustParseAddr("255.255.255.255")}, nil},
		{"IPv6", Key{IPv4: netip.MustParseAddr("::")}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := slices.Collect(table.Snapshot().From(test.from)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			for range table.Snapshot().From(test.from) {
				break // ending early is allowed
			}
			if got := slices.Collect(NewTable().Snapshot().From(test.from)); got != nil {
				t.Errorf("an empty table yields %v", got)
			}
		})
	}
}

// BenchmarkFrom1M finds a page's first softwire anywhere in a full table.
func BenchmarkFrom1M(b *testing.B) {
	for _, sh := range shapes {
		b.Run(sh.name, func(b *testing.B) {
			s := load(b, sh).Snapshot()
			rng := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				for w := range s.From(Key{IPv4: sh.ipv4(rng.IntN(sh.addresses))}) {
					if !w.IPv4.IsValid() {
						b.Fatal("no softwire")
					}
					break
				}
			}
		})
	}
}
