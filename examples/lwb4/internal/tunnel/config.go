package tunnel

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
)

// Config describes a tunnel.
type Config struct {
	Name string // of the network device
	Ends assign.Ends
	// MTU is the largest outer packet in octets that is sent, if the path does
	// not ask for less.
	MTU      int
	HopLimit uint8 // of outer headers
	// DefaultRoute sends all IPv4 that has no other way into the tunnel.
	DefaultRoute bool
	// Unbound is called when the AFTR says that it has no binding for what was sent
	// through the tunnel, by Run's goroutines. It must not block.
	Unbound func()
}

// headerLen is the length of the outer header in octets.
const headerLen = 40

// MinMTU is the least MTU of a tunnel: every IPv6 link carries that much
// (RFC 8200 section 5).
const MinMTU = 1280

// Validate reports everything that cannot work, joined.
func (c Config) Validate() error {
	var errs []error
	if n := len(c.Name); n < 1 || n > 15 {
		errs = append(errs, fmt.Errorf("device name %q must have 1 to 15 characters", c.Name))
	}
	if c.MTU < MinMTU || c.MTU > 65535 {
		errs = append(errs, fmt.Errorf("MTU %d is not in %d to 65535", c.MTU, MinMTU))
	}
	if c.HopLimit == 0 {
		errs = append(errs, errors.New("hop limit 0 reaches nobody"))
	}
	if !End(c.Ends.B4) || !End(c.Ends.BR) || c.Ends.B4 == c.Ends.BR {
		errs = append(errs, fmt.Errorf("%s are not the two ends of a softwire", c.Ends))
	}
	return errors.Join(errs...)
}

// End says whether an address can be an end of a softwire.
func End(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.Zone() == "" && a.IsGlobalUnicast()
}

var (
	// b4Address is the device's own (RFC 6333 section 5.7).
	b4Address = netip.PrefixFrom(assign.B4Address, assign.WellKnown.Bits())
	anywhere  = netip.MustParsePrefix("0.0.0.0/0")
)
