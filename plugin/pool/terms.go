package pool

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Mechanism is how a subscriber comes to a port set.
type Mechanism string

// The mechanisms.
const (
	Static Mechanism = "static" // an operator says so
	DHCPv6 Mechanism = "dhcpv6" // RFC 7598
	PCP    Mechanism = "pcp"    // RFC 7753
)

// Selection is which of the port sets that nobody has had is given out next.
type Selection string

// The selections.
const (
	// Pack fills an address before it opens the next.
	Pack Selection = "pack"
	// Spread gives out one port set of every address before the second of any.
	Spread Selection = "spread"
)

// Terms are on which conditions a pool's port sets are lent to subscribers.
type Terms struct {
	// Mechanisms may draw from the pool. None means that nothing is lent: only
	// softwires of the configuration use it.
	Mechanisms []Mechanism `yaml:"mechanisms"`
	// SubscriberPrefixLen is how many bits of an IPv6 address tell subscribers
	// apart (RFC 7785 section 2); 0 is the default.
	SubscriberPrefixLen uint8    `yaml:"subscriber-prefix-len"`
	Lifetime            Lifetime `yaml:"lifetime"`
	// HoldDown is how long a port set rests between two subscribers.
	HoldDown  time.Duration `yaml:"hold-down"`
	Selection Selection     `yaml:"selection"`
	// Quota is how many port sets of one address a subscriber may have.
	Quota   uint8   `yaml:"quota"`
	Exclude Exclude `yaml:"exclude"`
}

// Lifetime is how long a lease lasts unless it is renewed.
type Lifetime struct {
	Min     time.Duration `yaml:"min"`
	Default time.Duration `yaml:"default"` // for who does not ask for any
	Max     time.Duration `yaml:"max"`
}

// Exclude is what is not lent. Port sets with ports 0 to 1023, or with those of
// PCP, never are, unless they are whole addresses.
type Exclude struct {
	Addresses []netip.Prefix  `yaml:"addresses"`
	PSIDs     []uint16        `yaml:"psids"` // right-justified
	Ports     []portset.Range `yaml:"ports"` // with every port set that has one of them
}

// DefaultTerms are those of an operator who says nothing.
func DefaultTerms() Terms {
	return Terms{
		SubscriberPrefixLen: 56,
		Lifetime:            Lifetime{Min: 2 * time.Minute, Default: 24 * time.Hour, Max: 7 * 24 * time.Hour},
		HoldDown:            2 * time.Minute,
		Selection:           Pack,
		Quota:               1,
	}
}

// SetDefaults fills in what a configuration file may leave out.
func (p *Pool) SetDefaults() { p.Terms = DefaultTerms() }

// Allows reports whether m may draw from the pool.
func (t Terms) Allows(m Mechanism) bool {
	if len(t.Mechanisms) == 0 {
		return m == Static
	}
	return slices.Contains(t.Mechanisms, m)
}

// Lends reports whether port sets of the pool can be asked for.
func (t Terms) Lends() bool { return len(t.Mechanisms) > 0 }

// Subscriber is whose address b4 is.
func (t Terms) Subscriber(b4 netip.Addr) netip.Prefix {
	bits := t.SubscriberPrefixLen
	if bits == 0 {
		bits = DefaultTerms().SubscriberPrefixLen
	}
	p, err := b4.Prefix(int(bits))
	if err != nil {
		return netip.Prefix{} // not an IPv6 address
	}
	return p
}

// Clamp is the lifetime that one who asks for d gets; 0 asks for none.
func (l Lifetime) Clamp(d time.Duration) time.Duration {
	if d == 0 {
		d = l.Default
	}
	return min(max(d, l.Min), l.Max)
}

// ExcludedPSIDs lists the PSIDs that are not lent on any address, ascending.
func (p Pool) ExcludedPSIDs() []uint16 {
	params, err := p.Params()
	if err != nil {
		return nil
	}
	// RFC 7596 section 5.1: "it is RECOMMENDED that PSIDs containing the system
	// ports (0-1023) not be allocated". RFC 6887 section 11.3: no mappings for
	// external ports 5350 and 5351.
	ports := append([]portset.Range{{First: 0, Last: 1023}, {First: 5350, Last: 5351}}, p.Exclude.Ports...)
	if params.Whole() {
		ports = nil
	}
	all := slices.AppendSeq(slices.Clone(p.Exclude.PSIDs), params.Containing(ports...))
	slices.Sort(all)
	return slices.Compact(all)
}

// Bounds of terms.
const (
	maxLifetime = 10 * 365 * 24 * time.Hour
	maxHoldDown = 24 * time.Hour
	maxQuota    = 64
	maxExcluded = 4096 // of each kind
	maxLent     = 1 << 26
)

// validateTerms reports what is wrong with p's terms. Those of a pool that lends
// nothing are not looked at, but for its mechanisms.
func (p Pool) validateTerms(errs *problems) {
	for i, m := range p.Mechanisms {
		at := element.Item("mechanisms", i)
		switch {
		case m != Static && m != DHCPv6 && m != PCP:
			errs.add(at, "%q is not a mechanism; use %s, %s or %s", m, Static, DHCPv6, PCP)
		case slices.Contains(p.Mechanisms[:i], m):
			errs.add(at, "%q is there twice", m)
		}
	}
	if !p.Lends() {
		return
	}
	if n := p.SubscriberPrefixLen; n < 1 || n > 128 {
		errs.add("subscriber-prefix-len", "%d is not a length of IPv6 prefixes: want 1 to 128", n)
	}
	if l := p.Lifetime; l.Min < time.Second || l.Min > l.Default || l.Default > l.Max || l.Max > maxLifetime {
		errs.add("lifetime", "min %s, default %s, max %s: want 1s <= min <= default <= max <= %s", l.Min, l.Default, l.Max, maxLifetime)
	}
	if p.HoldDown < time.Second || p.HoldDown > maxHoldDown {
		errs.add("hold-down", "%s: want %s to %s", p.HoldDown, time.Second, maxHoldDown)
	}
	if p.Selection != Pack && p.Selection != Spread {
		errs.add("selection", "%q is not a selection; use %s or %s", p.Selection, Pack, Spread)
	}
	if p.Quota < 1 || p.Quota > maxQuota {
		errs.add("quota", "%d: want 1 to %d", p.Quota, maxQuota)
	}
	p.validateExclude(errs)
}

func (p Pool) validateExclude(errs *problems) {
	params, err := p.Params()
	if err != nil {
		return // reported by psid-len
	}
	e := p.Exclude
	for _, list := range []struct {
		key string
		n   int
	}{{"addresses", len(e.Addresses)}, {"psids", len(e.PSIDs)}, {"ports", len(e.Ports)}} {
		if list.n > maxExcluded {
			errs.add("exclude."+list.key, "%d items; at most %d are allowed", list.n, maxExcluded)
		}
	}
	for i, a := range e.Addresses {
		inside := func(of netip.Prefix) bool { return of.Bits() <= a.Bits() && of.Contains(a.Addr()) }
		if !slices.ContainsFunc(p.Prefixes, inside) {
			errs.add(element.Item("exclude.addresses", i), "%s is not in a prefix of the pool", a)
		}
	}
	for i, psid := range e.PSIDs {
		if int(psid) >= params.Sets() {
			errs.add(element.Item("exclude.psids", i), "%d does not fit in psid-len %d", psid, params.Length())
		}
	}
	var size int64
	for _, prefix := range p.Prefixes {
		if unusable(prefix) == "" {
			size += int64(params.Sets()) << (32 - prefix.Bits())
		}
	}
	if size > maxLent {
		errs.add("mechanisms", "the pool has %d port sets; at most %d can be lent by one pool: split it", size, maxLent)
	}
	if len(p.ExcludedPSIDs()) == params.Sets() {
		errs.add("exclude", "no port set is left to lend (those with ports 0-1023 or 5350-5351 are not lent either)")
	}
}
