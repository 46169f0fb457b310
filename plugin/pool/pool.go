package pool

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Pool is one pool as an operator defines it. The keys are leaf names of
// RFC 8676 where it has one.
type Pool struct {
	// Name identifies the pool in logs, status and announcements.
	Name string `yaml:"name" config:"required"`
	// Prefixes are the pool's IPv4 addresses, all of them usable.
	Prefixes []netip.Prefix `yaml:"prefixes" config:"required"`
	// PSIDOffset (a) and PSIDLen (k) are in bits. With PSIDLen 0 an address
	// belongs to one subscriber as a whole.
	PSIDOffset uint8 `yaml:"psid-offset"`
	PSIDLen    uint8 `yaml:"psid-len" config:"required"`
	// BR is the address that the pool's lwB4s tunnel to.
	BR netip.Addr `yaml:"br-ipv6-addr" config:"required"`
	Terms
}

// Params is how the pool splits the ports of its addresses. The error wraps
// portset.ErrParams.
func (p Pool) Params() (portset.Params, error) {
	return portset.NewParams(p.PSIDOffset, p.PSIDLen)
}

// Limits of a pool and of their number.
const (
	maxName     = 63
	maxPrefixes = 1024
	maxPools    = 1024
)

// validate reports everything that is wrong with p by itself.
func (p Pool) validate(errs *problems) {
	if !ValidName(p.Name) {
		errs.add("name", "%q is not a name: want 1 to %d letters, digits, dots, dashes and underscores", p.Name, maxName)
	}
	if n := len(p.Prefixes); n == 0 || n > maxPrefixes {
		errs.add("prefixes", "%d prefixes; a pool has 1 to %d", n, maxPrefixes)
	}
	for i, prefix := range p.Prefixes {
		if why := unusable(prefix); why != "" {
			errs.add(element.Item("prefixes", i), "%s %s", prefix, why)
		}
	}
	if _, err := p.Params(); err != nil {
		errs.add("psid-len", "%w", err)
	}
	if !usableBR(p.BR) {
		errs.add("br-ipv6-addr", "%s is not a global IPv6 unicast address", p.BR)
	}
	p.validateTerms(errs)
}

// ValidName says whether a name is safe in metrics, URLs and logs.
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// unusable says why no softwire can use every address of p, or nothing.
func unusable(p netip.Prefix) string {
	if !p.IsValid() || !p.Addr().Is4() {
		return "is not an IPv4 prefix"
	}
	if p != p.Masked() {
		return fmt.Sprintf("has bits set beyond its length; did you mean %s?", p.Masked())
	}
	for _, r := range reserved() {
		if p.Overlaps(r) {
			return fmt.Sprintf("holds addresses of %s, which are not unicast", r)
		}
	}
	return ""
}

// reserved is what never stands in a packet between hosts (RFC 6890 table 1
// "This host", "Loopback", RFC 1112 section 4 class D and E).
func reserved() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{0}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 3),
	}
}

func usableBR(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() &&
		!a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}
