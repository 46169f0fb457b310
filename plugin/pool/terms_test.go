package pool

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// lent is a pool of 2^k port sets for DHCPv6 and PCP.
func lent(a, k uint8, change func(*Pool)) Pool {
	p := good("a", "192.0.2.0/24")
	p.SetDefaults()
	p.PSIDOffset, p.PSIDLen = a, k
	p.Mechanisms = []Mechanism{DHCPv6, PCP}
	if change != nil {
		change(&p)
	}
	return p
}

func TestValidateTerms(t *testing.T) {
	tests := []struct {
		name string
		pool Pool
		want []string
	}{
		{"defaults", lent(0, 6, nil), nil},
		{"whole addresses", lent(0, 0, nil), nil},
		{"nothing is lent, so no terms are needed", with(good("a", "192.0.2.0/24"), func(p *Pool) { p.Prefixes, p.PSIDLen = prefixes("10.0.0.0/8"), 10 }), nil},
		{"too large to lend", lent(0, 6, func(p *Pool) { p.Prefixes = prefixes("10.0.0.0/8") }), []string{
			`[0].mechanisms: the pool has 1073741824 port sets; at most 67108864 can be lent by one pool: split it`}},
		{"mechanisms", lent(0, 6, func(p *Pool) { p.Mechanisms = []Mechanism{PCP, "radius", PCP} }), []string{
			`[0].mechanisms[1]: "radius" is not a mechanism; use static, dhcpv6 or pcp`,
			`[0].mechanisms[2]: "pcp" is there twice`}},
		{"all unset", lent(0, 6, func(p *Pool) { p.Terms = Terms{Mechanisms: []Mechanism{PCP}} }), []string{
			`[0].subscriber-prefix-len: 0 is not a length of IPv6 prefixes: want 1 to 128`,
			`[0].lifetime: min 0s, default 0s, max 0s: want 1s <= min <= default <= max <= 87600h0m0s`,
			`[0].hold-down: 0s: want 1s to 24h0m0s`,
			`[0].selection: "" is not a selection; use pack or spread`,
			`[0].quota: 0: want 1 to 64`}},
		{"lifetimes out of order", lent(0, 6, func(p *Pool) { p.Lifetime.Max = time.Hour }), []string{
			`[0].lifetime: min 2m0s, default 24h0m0s, max 1h0m0s: want 1s <= min <= default <= max <= 87600h0m0s`}},
		{"exclusions elsewhere", lent(0, 6, func(p *Pool) {
			p.Exclude = Exclude{Addresses: prefixes("192.0.2.7/32", "192.0.3.0/32", "192.0.0.0/16"), PSIDs: []uint16{63, 64}}
		}), []string{
			`[0].exclude.addresses[1]: 192.0.3.0/32 is not in a prefix of the pool`,
			`[0].exclude.addresses[2]: 192.0.0.0/16 is not in a prefix of the pool`,
			`[0].exclude.psids[1]: 64 does not fit in psid-len 6`}},
		{"nothing left", lent(0, 1, func(p *Pool) { p.Exclude.Ports = []portset.Range{{First: 40000, Last: 40000}} }), []string{
			`[0].exclude: no port set is left to lend (those with ports 0-1023 or 5350-5351 are not lent either)`}},
		{"too many", lent(0, 6, func(p *Pool) { p.Exclude.Ports = make([]portset.Range, maxExcluded+1) }), []string{
			`[0].exclude.ports: 4097 items; at most 4096 are allowed`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range element.Each(Pools{tt.pool}.Validate()) {
				got = append(got, e.Error())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestExcludedPSIDs(t *testing.T) {
	tests := []struct {
		name string
		pool Pool
		want []uint16
	}{
		{"whole address", lent(0, 0, nil), nil},
		{"one range each", lent(0, 6, nil), []uint16{0, 5}},
		{"the offset keeps the well-known ports out", lent(6, 8, nil), []uint16{57}},
		{"with the operator's", lent(0, 6, func(p *Pool) {
			p.Exclude = Exclude{PSIDs: []uint16{9, 5}, Ports: []portset.Range{{First: 8080, Last: 8081}}}
		}), []uint16{0, 5, 7, 9}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.pool.ExcludedPSIDs()
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			for _, psid := range got {
				if tt.name == "with the operator's" {
					break
				}
				set, err := portset.Of(tt.pool.PSIDOffset, tt.pool.PSIDLen, psid)
				if err != nil || !set.OverlapsRange(portset.Range{First: 0, Last: 1023}) && !set.OverlapsRange(portset.Range{First: 5350, Last: 5351}) {
					t.Errorf("PSID %d has none of the ports that nobody may have (%v)", psid, err)
				}
			}
		})
	}
}

func TestTerms(t *testing.T) {
	var none Terms
	if !none.Allows(Static) || none.Allows(PCP) || none.Lends() {
		t.Error("a pool that says nothing is for static softwires")
	}
	b4 := netip.MustParseAddr("2001:db8:1:2345:6::b4")
	if got, want := none.Subscriber(b4), netip.MustParsePrefix("2001:db8:1:2300::/56"); got != want {
		t.Errorf("the subscriber of %s is %s, want %s", b4, got, want)
	}
	l := Lifetime{Min: time.Minute, Default: time.Hour, Max: 2 * time.Hour}
	for ask, want := range map[time.Duration]time.Duration{
		0: time.Hour, time.Second: time.Minute, 90 * time.Minute: 90 * time.Minute, 1000 * time.Hour: 2 * time.Hour,
	} {
		if got := l.Clamp(ask); got != want {
			t.Errorf("who asks for %s gets %s, want %s", ask, got, want)
		}
	}
}
