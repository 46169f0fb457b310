package tunnel

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Config describes a tunnel.
type Config struct {
	Name     string // of the network device
	Softwire softwire.Softwire
	// MTU is the largest outer packet in octets that is sent, if the path does
	// not ask for less.
	MTU      int
	HopLimit uint8 // of outer headers
	// DefaultRoute sends all IPv4 that has no other way into the tunnel.
	DefaultRoute bool
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
	errs = append(errs, c.Softwire.Validate())
	return errors.Join(errs...)
}

// Addresses of a tunnel's two ends (RFC 6333 section 5.7).
var (
	b4Address = netip.MustParsePrefix("192.0.0.2/29")
	anywhere  = netip.MustParsePrefix("0.0.0.0/0")
)
