// Package assign owns the value of what a carrier assigns to a CPE: where its
// softwire begins and ends, and which ports of which IPv4 address are its own.
package assign

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Ends are the two tunnel endpoints of a softwire.
type Ends struct {
	B4 netip.Addr // of this CPE
	BR netip.Addr // of the lwAFTR
}

// String is "lwB4 address to BR address".
func (e Ends) String() string { return fmt.Sprintf("%s to %s", e.B4, e.BR) }

// Ports are the ports of one IPv4 address that are the CPE's own: one or more
// port sets. The zero value is none.
type Ports struct {
	IPv4 netip.Addr
	Sets []portset.PortSet
}

// MaxSets bounds how many port sets a CPE uses: each costs a look at each packet.
const MaxSets = 16

// systemPorts are those that other people's middleware reserves (RFC 7596
// section 5.1).
var systemPorts = portset.Range{First: 0, Last: 1023}

// The reasons for which Validate refuses what was assigned.
var (
	ErrEmpty       = errors.New("no port set")
	ErrAddress     = errors.New("not an IPv4 address that hosts can have")
	ErrOverlap     = errors.New("port sets that overlap")
	ErrSystemPorts = errors.New("system ports (0 to 1023) of a shared address")
	ErrTooMany     = fmt.Errorf("more than %d port sets", MaxSets)
)

// Validate finds what no carrier assigns on purpose. The error wraps one of those
// above.
func (p Ports) Validate() error {
	switch {
	case len(p.Sets) == 0:
		return ErrEmpty
	case len(p.Sets) > MaxSets:
		return fmt.Errorf("%w: %d", ErrTooMany, len(p.Sets))
	case !usable(p.IPv4):
		return fmt.Errorf("%w: %s", ErrAddress, p.IPv4)
	}
	for i, set := range p.Sets {
		// RFC 7596 section 5.1: "it is RECOMMENDED that PSIDs containing the system
		// ports (0-1023) not be allocated to lwB4s".
		if !set.Whole() && set.OverlapsRange(systemPorts) {
			return fmt.Errorf("%w: %s", ErrSystemPorts, set)
		}
		for _, other := range p.Sets[:i] {
			if set.Overlaps(other) {
				return fmt.Errorf("%w: %s and %s", ErrOverlap, other, set)
			}
		}
	}
	return nil
}

// usable says whether an address can be one that the Internet reaches, or at
// least one of a carrier's own.
func usable(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255}) && !WellKnown.Contains(a)
}

// WellKnown is the addresses of B4 and AFTR within a softwire (RFC 6333 section
// 5.7).
var WellKnown = netip.MustParsePrefix("192.0.0.0/29")

// The two of them that are in use (RFC 6333 section 5.7).
var (
	B4Address   = netip.MustParseAddr("192.0.0.2")
	AFTRAddress = netip.MustParseAddr("192.0.0.1")
)

// Contains says whether a port is in one of the sets.
func (p Ports) Contains(port uint16) bool {
	return slices.ContainsFunc(p.Sets, func(s portset.PortSet) bool { return s.Contains(port) })
}

// Count is how many ports there are.
func (p Ports) Count() (n int) {
	for _, s := range p.Sets {
		n += s.Count()
	}
	return n
}

// Whole says whether the address is not shared.
func (p Ports) Whole() bool { return len(p.Sets) == 1 && p.Sets[0].Whole() }

// Equal says whether the same sets, in whatever order, are on the same address.
func (p Ports) Equal(o Ports) bool {
	return p.IPv4 == o.IPv4 && len(p.Sets) == len(o.Sets) &&
		!slices.ContainsFunc(p.Sets, func(s portset.PortSet) bool { return !slices.Contains(o.Sets, s) })
}

// String is the address with the sets.
func (p Ports) String() string {
	if len(p.Sets) == 0 {
		return "no ports"
	}
	var sets []string
	for _, s := range p.Sets {
		sets = append(sets, s.String())
	}
	return fmt.Sprintf("%s psid %s", p.IPv4, strings.Join(sets, " and "))
}

// Of is what a softwire says.
func Of(s softwire.Softwire) (Ends, Ports) {
	return Ends{B4: s.B4, BR: s.BR}, Ports{IPv4: s.IPv4, Sets: []portset.PortSet{s.PortSet}}
}
