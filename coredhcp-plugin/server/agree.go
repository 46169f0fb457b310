package server

import (
	"errors"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// Agrees reports where the pools of c, and the IPv4 pools that their softwires come
// from, exclude each other, with elements such as "pools[0].hold-down".
func (c Config) Agrees(with pool.Pools) error {
	var errs []error
	for i, p := range c.Pools {
		if p.Mechanism != ByNone {
			errs = append(errs, element.At(element.Item("pools", i), p.agrees(with)))
		}
	}
	return errors.Join(errs...)
}

func (p Pool) agrees(with pool.Pools) error {
	var errs []error
	fail := func(at, format string, args ...any) { errs = append(errs, element.Errorf(at, format, args...)) }
	mechanism := pool.Mechanism(p.Mechanism)
	found, br := false, false
	for _, from := range with {
		if !from.Allows(mechanism) || p.SoftwirePool != "" && p.SoftwirePool != from.Name {
			continue
		}
		found = true
		br = br || from.BR == p.BR
		if p.Mechanism != ByDHCPv6 {
			continue
		}
		if p.DelegatedLen > from.SubscriberPrefixLen {
			fail("delegated-len", "%d: two clients would be one subscriber of pool %q, whose subscriber-prefix-len is %d", p.DelegatedLen, from.Name, from.SubscriberPrefixLen)
		}
		if p.ValidLifetime < from.Lifetime.Min || p.ValidLifetime > from.Lifetime.Max {
			fail("valid-lifetime", "%s: pool %q lends for %s to %s", p.ValidLifetime, from.Name, from.Lifetime.Min, from.Lifetime.Max)
		}
		// The port set goes with the prefix, whoever has it.
		if p.HoldDown < from.HoldDown {
			fail("hold-down", "%s: must be at least that of pool %q, %s", p.HoldDown, from.Name, from.HoldDown)
		}
	}
	switch {
	case !found && p.SoftwirePool != "":
		fail("softwire-pool", "%q is not a pool that lends by %s", p.SoftwirePool, mechanism)
	case !found:
		fail("mechanism", "no pool lends by %s", mechanism)
	case p.BR.IsValid() && !br:
		fail("br-ipv6-addr", "%s is not the BR address of a pool that lends by %s", p.BR, mechanism)
	}
	return errors.Join(errs...)
}
