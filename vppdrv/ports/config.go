package ports

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Config is one interface.
type Config struct {
	// Name is VPP's name of the interface, which must be there.
	Name string `yaml:"name" config:"required"`
	// VLAN is the 802.1Q number of a sub-interface, which is made if it is not
	// there; 0 for the interface itself.
	VLAN int `yaml:"vlan"`
	// Addresses are given to the interface, each with the length of its subnet.
	Addresses []netip.Prefix `yaml:"addresses"`
	// NextHop is a neighbour to which the default route of the side's table
	// leads, beside those of other interfaces.
	NextHop netip.Addr `yaml:"next-hop"`
}

// Interface is VPP's name of what c is about.
func (c Config) Interface() string {
	if c.VLAN == 0 {
		return c.Name
	}
	return fmt.Sprintf("%s.%d", c.Name, c.VLAN)
}

// maxName is what VPP keeps of the name of an interface, in octets.
const maxName = 63

// maxVLAN is the last VLAN number (IEEE 802.1Q: 4095 is reserved).
const maxVLAN = 4094

// Validate reports every value of an interface of side that cannot work, each
// as an element.Error.
func (c Config) Validate(side dataplane.Side) error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, element.Errorf(key, format, args...))
		}
	}
	ours := func(a netip.Addr) bool {
		return !a.Is4In6() && a.Is6() == (side == dataplane.SideIPv6)
	}
	check(c.Name != "" && len(c.Interface()) <= maxName, "name", "%q is not 1 to %d octets long", c.Interface(), maxName)
	check(c.VLAN >= 0 && c.VLAN <= maxVLAN, "vlan", "%d is not between 0 and %d", c.VLAN, maxVLAN)
	for i, a := range c.Addresses {
		check(a.IsValid() && ours(a.Addr()), fmt.Sprintf("addresses[%d]", i), "%s is no address of the %s side", a, side)
	}
	if c.NextHop.IsValid() {
		check(ours(c.NextHop) && c.NextHop.Zone() == "" && !c.NextHop.IsMulticast() && !c.NextHop.IsUnspecified(),
			"next-hop", "%s is no neighbour on the %s side", c.NextHop, side)
	}
	return errors.Join(errs...)
}

// Side is the interfaces of one side and what they have in common.
type Side struct {
	Side  dataplane.Side
	Table uint32 // the FIB table in which the side's packets are looked up
	// MTU is the largest packet in octets that is sent to the side.
	MTU        int
	Interfaces []Config
}

func (s Side) ip6() bool { return s.Side == dataplane.SideIPv6 }

// mark stands in the tags of sub-interfaces and in the names of tables that are
// ours. It differs from that of the topology, which comes and goes by itself.
func mark(instance string) string { return "lw4o6-port:" + instance }
