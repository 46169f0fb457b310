package delegation

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Pool is prefixes to delegate, and the terms on which that is done.
type Pool struct {
	// Name identifies the pool in the configuration, in logs and in the store.
	Name string `yaml:"name" config:"required"`
	// Prefixes are cut into prefixes of DelegatedLen bits.
	Prefixes     []netip.Prefix `yaml:"prefixes" config:"required"`
	DelegatedLen uint8          `yaml:"delegated-len"`
	// Exclude is never delegated.
	Exclude []netip.Prefix `yaml:"exclude"`
	// PreferredLifetime and ValidLifetime are what clients are told (RFC 8415
	// section 21.22).
	PreferredLifetime time.Duration `yaml:"preferred-lifetime"`
	ValidLifetime     time.Duration `yaml:"valid-lifetime"`
	// HoldDown is how long a prefix rests between two clients.
	HoldDown time.Duration `yaml:"hold-down"`
	// Quota is how many prefixes a client may have, LineQuota all clients of one
	// line; 0 is without limit.
	Quota     int `yaml:"quota"`
	LineQuota int `yaml:"line-quota"`
}

// SetDefaults fills in what a configuration file may leave out.
func (p *Pool) SetDefaults() {
	*p = Pool{
		DelegatedLen:      56,
		PreferredLifetime: 12 * time.Hour,
		ValidLifetime:     24 * time.Hour,
		HoldDown:          5 * time.Minute,
		Quota:             1,
	}
}

// Bounds of a Pool.
const (
	maxPrefixes = 1 << 22 // delegated ones of one pool
	maxName     = 63
	minLifetime = 4 * time.Second // a shorter one leaves no time to renew it
	maxLifetime = 365 * 24 * time.Hour
	maxHoldDown = 24 * time.Hour
	maxQuota    = 64
	maxExclude  = 4096
)

// Validate reports what is wrong with p.
func (p Pool) Validate() error {
	var errs []error
	fail := func(at, format string, args ...any) { errs = append(errs, element.Errorf(at, format, args...)) }
	if p.Name == "" || len(p.Name) > maxName {
		fail("name", "%q: want 1 to %d characters", p.Name, maxName)
	}
	if p.DelegatedLen < 16 || p.DelegatedLen > 64 {
		fail("delegated-len", "%d: want 16 to 64", p.DelegatedLen)
		return errors.Join(errs...)
	}
	size := uint64(0)
	for i, prefix := range p.Prefixes {
		switch {
		case !usable(prefix):
			fail(element.Item("prefixes", i), "%s is not an IPv6 prefix, masked", prefix)
		case prefix.Bits() > int(p.DelegatedLen):
			fail(element.Item("prefixes", i), "%s is longer than delegated-len %d", prefix, p.DelegatedLen)
		case int(p.DelegatedLen)-prefix.Bits() > 62:
			size = maxPrefixes + 1
		default:
			size += 1 << (int(p.DelegatedLen) - prefix.Bits())
		}
	}
	if len(p.Prefixes) == 0 || size > maxPrefixes {
		fail("prefixes", "are %d prefixes of %d bits: want 1 to %d; use several pools", size, p.DelegatedLen, maxPrefixes)
	}
	if len(p.Exclude) > maxExclude {
		fail("exclude", "%d items; at most %d are allowed", len(p.Exclude), maxExclude)
	}
	for i, x := range p.Exclude {
		if !usable(x) {
			fail(element.Item("exclude", i), "%s is not an IPv6 prefix, masked", x)
		}
	}
	if p.ValidLifetime < minLifetime || p.ValidLifetime > maxLifetime {
		fail("valid-lifetime", "%s: want %s to %s", p.ValidLifetime, minLifetime, maxLifetime)
	}
	if p.PreferredLifetime < time.Second || p.PreferredLifetime > p.ValidLifetime {
		fail("preferred-lifetime", "%s: want %s to valid-lifetime, %s", p.PreferredLifetime, time.Second, p.ValidLifetime)
	}
	if p.HoldDown < time.Second || p.HoldDown > maxHoldDown {
		fail("hold-down", "%s: want %s to %s", p.HoldDown, time.Second, maxHoldDown)
	}
	if p.Quota < 1 || p.Quota > maxQuota {
		fail("quota", "%d: want 1 to %d", p.Quota, maxQuota)
	}
	if p.LineQuota < 0 {
		fail("line-quota", "%d is negative", p.LineQuota)
	}
	return errors.Join(errs...)
}

func usable(p netip.Prefix) bool {
	return p.IsValid() && p.Addr().Is6() && !p.Addr().Is4In6() && p.Masked() == p
}

// Overlap reports a prefix of p that is in q too.
func (p Pool) Overlap(q Pool) (netip.Prefix, bool) {
	for _, a := range p.Prefixes {
		for _, b := range q.Prefixes {
			if a.Overlaps(b) {
				return a, true
			}
		}
	}
	return netip.Prefix{}, false
}

// size is how many prefixes p has, excluded ones too.
func (p *Pool) size() uint32 {
	n := uint32(0)
	for _, prefix := range p.Prefixes {
		n += 1 << (int(p.DelegatedLen) - prefix.Bits())
	}
	return n
}

// at is the prefix with an index below size.
func (p *Pool) at(index uint32) netip.Prefix {
	for _, prefix := range p.Prefixes {
		if n := uint32(1) << (int(p.DelegatedLen) - prefix.Bits()); index >= n {
			index -= n
			continue
		}
		a := prefix.Addr().As16()
		upper := binary.BigEndian.Uint64(a[:8]) + uint64(index)<<(64-p.DelegatedLen)
		binary.BigEndian.PutUint64(a[:8], upper)
		return netip.PrefixFrom(netip.AddrFrom16(a), int(p.DelegatedLen))
	}
	return netip.Prefix{}
}

// index is that of a prefix, if p has it.
func (p *Pool) index(of netip.Prefix) (uint32, bool) {
	if of.Bits() != int(p.DelegatedLen) {
		return 0, false
	}
	before := uint32(0)
	for _, prefix := range p.Prefixes {
		if prefix.Contains(of.Addr()) {
			a, b := of.Addr().As16(), prefix.Addr().As16()
			upper := binary.BigEndian.Uint64(a[:8]) - binary.BigEndian.Uint64(b[:8])
			return before + uint32(upper>>(64-p.DelegatedLen)), true
		}
		before += 1 << (int(p.DelegatedLen) - prefix.Bits())
	}
	return 0, false
}

// excludes reports whether of is not to be delegated.
func (p *Pool) excludes(of netip.Prefix) bool {
	for _, x := range p.Exclude {
		if x.Overlaps(of) {
			return true
		}
	}
	return false
}
