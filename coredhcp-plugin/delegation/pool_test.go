package delegation

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestPool: every prefix of a pool has an index, and every index a prefix.
func TestPool(t *testing.T) {
	p := small("a", "2001:db8:a::/48", 56)
	p.Prefixes = append(p.Prefixes, netip.MustParsePrefix("2001:db8:b:ff00::/56"), netip.MustParsePrefix("2001:db8:c::/54"))
	if got := p.size(); got != 256+1+4 {
		t.Fatalf("%d prefixes", got)
	}
	seen := make(map[netip.Prefix]bool)
	for i := range p.size() {
		prefix := p.at(i)
		back, ok := p.index(prefix)
		if !ok || back != i || seen[prefix] || prefix.Bits() != 56 || prefix != prefix.Masked() {
			t.Errorf("%d is %s, which is %d", i, prefix, back)
		}
		seen[prefix] = true
	}
	for _, s := range []string{"2001:db8:a::/57", "2001:db8:d::/56", "2001:db8:b:fe00::/56"} {
		if i, ok := p.index(netip.MustParsePrefix(s)); ok {
			t.Errorf("%s is %d", s, i)
		}
	}
}

// TestPoolValidate: each thing that is wrong is found, where it stands.
func TestPoolValidate(t *testing.T) {
	if err := small("a", "2001:db8::/40", 56).Validate(); err != nil {
		t.Errorf("a good pool: %v", err)
	}
	for at, spoil := range map[string]func(p *Pool){
		"name":               func(p *Pool) { p.Name = "" },
		"delegated-len":      func(p *Pool) { p.DelegatedLen = 65 },
		"prefixes[0]":        func(p *Pool) { p.Prefixes[0] = netip.MustParsePrefix("2001:db8::/57") },
		"prefixes[1]":        func(p *Pool) { p.Prefixes = append(p.Prefixes, netip.MustParsePrefix("192.0.2.0/24")) },
		"prefixes":           func(p *Pool) { p.Prefixes[0] = netip.MustParsePrefix("2001::/16") },
		"exclude[0]":         func(p *Pool) { p.Exclude = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} },
		"valid-lifetime":     func(p *Pool) { p.ValidLifetime = time.Second },
		"preferred-lifetime": func(p *Pool) { p.PreferredLifetime = 2 * time.Hour },
		"hold-down":          func(p *Pool) { p.HoldDown = 0 },
		"quota":              func(p *Pool) { p.Quota = 0 },
		"line-quota":         func(p *Pool) { p.LineQuota = -1 },
	} {
		p := small("a", "2001:db8::/48", 56)
		spoil(&p)
		if err := p.Validate(); err == nil || !strings.HasPrefix(err.Error(), at+": ") {
			t.Errorf("%s: %v", at, err)
		}
	}
}
