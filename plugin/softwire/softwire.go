package softwire

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Errors that Validate and Table wrap.
var (
	// ErrAddress reports an address that is unset, of the wrong family, zoned
	// or not unicast.
	ErrAddress = errors.New("unusable address")
	// ErrConflict reports a softwire that another one of the table excludes.
	ErrConflict = errors.New("conflicting softwires")
)

// Softwire is one binding: the tunnel of one lwB4 and the ports of one IPv4
// address that are reached through it. Softwires are comparable with ==.
type Softwire struct {
	IPv4    netip.Addr      // the shared or whole IPv4 address
	PortSet portset.PortSet // the ports of it that this lwB4 holds
	B4      netip.Addr      // the lwB4's IPv6 tunnel address
	BR      netip.Addr      // the BR address that this lwB4 tunnels to
}

// Key identifies a softwire in a table.
type Key struct {
	IPv4    netip.Addr
	PortSet portset.PortSet
}

// Key returns what identifies s in a table.
func (s Softwire) Key() Key { return Key{s.IPv4, s.PortSet} }

// Compare orders keys by IPv4 address, then psid-offset, psid-len and PSID:
// the stable order of every listing.
func (k Key) Compare(o Key) int {
	p, q := k.PortSet.Params(), o.PortSet.Params()
	return cmp.Or(
		k.IPv4.Compare(o.IPv4),
		cmp.Compare(p.Offset(), q.Offset()),
		cmp.Compare(p.Length(), q.Length()),
		cmp.Compare(k.PortSet.PSID(), o.PortSet.PSID()),
	)
}

// String is "192.0.2.1 psid 6/8/52", the address alone when it is whole.
func (k Key) String() string {
	if k.PortSet.Whole() {
		return k.IPv4.String()
	}
	return fmt.Sprintf("%s psid %s", k.IPv4, k.PortSet)
}

// String names the softwire the way logs and errors do.
func (s Softwire) String() string {
	return fmt.Sprintf("%s lwB4 %s BR %s", s.Key(), s.B4, s.BR)
}

// Validate reports what of s could never be forwarded, whatever else the table
// holds. The error wraps ErrAddress.
func (s Softwire) Validate() error {
	switch {
	case !s.IPv4.Is4() || !s.IPv4.IsGlobalUnicast():
		return fmt.Errorf("softwire %s: %w: the IPv4 address must be IPv4 unicast", s, ErrAddress)
	case !usable6(s.B4):
		return fmt.Errorf("softwire %s: %w: the lwB4 address must be global IPv6 unicast", s, ErrAddress)
	case !usable6(s.BR):
		return fmt.Errorf("softwire %s: %w: the BR address must be global IPv6 unicast", s, ErrAddress)
	}
	return nil
}

// usable6 is the addresses that may stand in an outer header. Link-local ones
// cannot be routed to, and a 4-mapped one would be an IPv4 address in disguise.
func usable6(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.Zone() == "" && a.IsGlobalUnicast()
}
