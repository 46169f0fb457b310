package pool

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

func good(name string, texts ...string) Pool {
	return Pool{Name: name, Prefixes: prefixes(texts...), PSIDOffset: 6, PSIDLen: 8, BR: netip.MustParseAddr("2001:db8::1")}
}

func with(p Pool, change func(*Pool)) Pool {
	change(&p)
	return p
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name  string
		pools Pools
		want  []string
	}{
		{"none", nil, nil},
		{"good", Pools{good("a", "192.0.2.0/25", "198.51.100.0/24"), good("b", "192.0.2.128/25", "10.0.0.0/8")}, nil},
		{"whole addresses and single ports", Pools{
			with(good("a", "192.0.2.0/32"), func(p *Pool) { p.PSIDOffset, p.PSIDLen = 0, 0 }),
			with(good("b", "192.0.2.1/32"), func(p *Pool) { p.PSIDOffset, p.PSIDLen = 0, 16 })}, nil},
		{"everything of one wrong", Pools{{Name: "a b", PSIDOffset: 9, PSIDLen: 8}}, []string{
			`[0].name: "a b" is not a name: want 1 to 63 letters, digits, dots, dashes and underscores`,
			`[0].prefixes: 0 prefixes; a pool has 1 to 1024`,
			`[0].psid-len: psid-offset 9, psid-len 8: psid-offset plus psid-len must be at most 16`,
			`[0].br-ipv6-addr: invalid IP is not a global IPv6 unicast address`}},
		{"same name", Pools{good("a", "192.0.2.0/25"), good("a", "192.0.2.128/25")}, []string{
			`[1].name: "a" is the name of pool 0 too`}},
		{"overlap between pools", Pools{good("a", "192.0.2.64/26"), good("b", "198.51.100.0/24", "192.0.2.0/24")}, []string{
			`[0].prefixes[0]: 192.0.2.64/26 overlaps 192.0.2.0/24 of pool "b"`}},
		{"overlap within a pool, twice", Pools{good("a", "192.0.2.0/24", "192.0.2.0/25", "192.0.2.200/32")}, []string{
			`[0].prefixes[1]: 192.0.2.0/25 overlaps 192.0.2.0/24 of pool "a"`,
			`[0].prefixes[2]: 192.0.2.200/32 overlaps 192.0.2.0/24 of pool "a"`}},
		{"the same prefix twice", Pools{good("a", "192.0.2.0/24"), good("b", "192.0.2.0/24")}, []string{
			`[1].prefixes[0]: 192.0.2.0/24 overlaps 192.0.2.0/24 of pool "a"`}},
		{"host bits", Pools{good("a", "192.0.2.1/24")}, []string{
			`[0].prefixes[0]: 192.0.2.1/24 has bits set beyond its length; did you mean 192.0.2.0/24?`}},
		{"IPv6", Pools{good("a", "2001:db8::/32")}, []string{`[0].prefixes[0]: 2001:db8::/32 is not an IPv4 prefix`}},
		{"unset prefix", Pools{{Name: "a", Prefixes: make([]netip.Prefix, 1), BR: netip.MustParseAddr("2001:db8::1")}}, []string{
			`[0].prefixes[0]: invalid Prefix is not an IPv4 prefix`}},
		{"multicast", Pools{good("a", "239.0.0.0/8")}, []string{
			`[0].prefixes[0]: 239.0.0.0/8 holds addresses of 224.0.0.0/3, which are not unicast`}},
		{"loopback inside", Pools{good("a", "126.0.0.0/7")}, []string{
			`[0].prefixes[0]: 126.0.0.0/7 holds addresses of 127.0.0.0/8, which are not unicast`}},
		{"everything", Pools{good("a", "0.0.0.0/0")}, []string{
			`[0].prefixes[0]: 0.0.0.0/0 holds addresses of 0.0.0.0/8, which are not unicast`}},
	}
	for _, br := range []string{"192.0.2.1", "::", "ff02::1", "fe80::1", "::1", "::ffff:192.0.2.1", "2001:db8::1%eth0"} {
		tests = append(tests, struct {
			name  string
			pools Pools
			want  []string
		}{"BR " + br, Pools{with(good("a", "192.0.2.0/24"), func(p *Pool) { p.BR = netip.MustParseAddr(br) })},
			[]string{`[0].br-ipv6-addr: ` + br + ` is not a global IPv6 unicast address`}})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range element.Each(tt.pools.Validate()) {
				got = append(got, e.Error())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	many := make(Pools, maxPools+1)
	for i := range many {
		many[i] = good(strings.Repeat("x", maxName+1), "192.0.2.0/24")
	}
	if err := many.Validate(); err == nil || !strings.Contains(err.Error(), "1025 pools; at most 1024 are allowed") {
		t.Errorf("too many pools: got %.100v", err)
	}
}

// TestFind compares the index with a walk over all prefixes.
func TestFind(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pools := Pools{good("a"), good("b"), good("c")}
	for range 200 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.Uint32()), byte(r.Uint32())}), 16+r.IntN(17)).Masked()
		if slices.ContainsFunc(pools.places(), func(at place) bool { return at.prefix.Overlaps(p) }) {
			continue
		}
		to := &pools[r.IntN(len(pools))]
		to.Prefixes = append(to.Prefixes, p)
	}
	for i := range pools {
		if len(pools[i].Prefixes) == 0 {
			pools[i].Prefixes = prefixes([]string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"}[i])
		}
	}
	if err := pools.Validate(); err != nil {
		t.Fatal(err)
	}
	x := pools.Index()
	found := 0
	for range 20000 {
		ip := netip.AddrFrom4([4]byte{10, byte(r.IntN(5)), byte(r.Uint32()), byte(r.Uint32())})
		var want string
		for _, p := range pools {
			for _, prefix := range p.Prefixes {
				if prefix.Contains(ip) {
					want = p.Name
				}
			}
		}
		got, ok := x.Find(ip)
		if ok {
			found++
		}
		if ok != (want != "") || got.Name != want {
			t.Fatalf("Find(%s) = %q, %t; want %q", ip, got.Name, ok, want)
		}
	}
	if found == 0 {
		t.Error("no address was found, so nothing was compared")
	}
	if _, ok := x.Find(netip.MustParseAddr("2001:db8::1")); ok {
		t.Error("an IPv6 address is in a pool")
	}
	if _, ok := (Pools{}).Index().Find(netip.MustParseAddr("10.0.0.1")); ok {
		t.Error("an address is in no pools")
	}
}

func TestLists(t *testing.T) {
	p := Pools{good("b", "198.51.100.0/24", "10.0.0.0/8"), good("a", "192.0.2.0/24")}
	p[0].BR = netip.MustParseAddr("2001:db8::2")
	p = append(p, with(good("c", "203.0.113.0/24"), func(p *Pool) { p.BR = netip.MustParseAddr("2001:db8::2") }))
	wantPrefixes := prefixes("10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
	if got := p.Prefixes(); !slices.Equal(got, wantPrefixes) {
		t.Errorf("Prefixes() = %v, want %v", got, wantPrefixes)
	}
	wantBRs := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")}
	if got := p.BRs(); !slices.Equal(got, wantBRs) {
		t.Errorf("BRs() = %v, want %v", got, wantBRs)
	}
}
