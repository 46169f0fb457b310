package reassembly

import (
	"errors"
	"fmt"
	"time"
)

// ErrConfig reports a Config that cannot work.
var ErrConfig = errors.New("unusable reassembly limits")

// Config bounds what one Table holds.
type Config struct {
	// MaxContexts is how many packets may be incomplete at once. With none,
	// every fragment is dropped. Each takes some 300 octets beside MaxBytes.
	MaxContexts int
	// MaxFragmentsPerPacket ends a packet that is in more pieces. At least 1.
	MaxFragmentsPerPacket int
	// MaxBytes is the memory for the contents of fragments, in octets. It is
	// used in blocks of 512, with 12 octets beside each.
	MaxBytes int
	// Timeout is how long after its first fragment a packet may be incomplete.
	Timeout time.Duration
	// PerSource is how many incomplete packets one source may have: an IPv4
	// source on the Internet, or a lwB4 whatever is inside its softwire. Zero
	// is no limit.
	PerSource int
	// PerDestination is how many incomplete packets from the Internet one IPv4
	// destination may have. Zero is no limit.
	PerDestination int
}

// Largest values that a Config may have, far beyond what is of use.
const (
	maxContexts = 1 << 22
	maxBytes    = 1 << 36
)

// DefaultConfig is for one Table of a carrier's lwAFTR.
//
// 20,000 packets: at 100,000 fragmented packets per second, whose fragments are
// 10 ms apart and of which one in a thousand stays incomplete, 1,200 are held
// at a time, so a flood needs 16 times that to displace anything. 64 MiB is two
// full fragments of each. 64 fragments: the largest packet at the smallest IPv6
// MTU has 54.
//
// 2 seconds: RFC 8200 section 4.5 says 60 and RFC 1122 section 3.3.2 says 60 to
// 120, for end hosts at the rates of their time. What has not come after 2 is
// lost, and a sender that reuses a 16-bit identification within the timeout
// gets packets mixed from two (RFC 4963): at 2 seconds that takes 32,768
// fragmented packets per second between two hosts, at 60 it takes 1,092.
//
// 256 per source leave one public DNS resolver room for ten thousand fragmented
// answers per second to all subscribers together, even if one in a hundred
// stays incomplete; 2,048 per destination are a tenth of the table.
func DefaultConfig() Config {
	return Config{
		MaxContexts:           20_000,
		MaxFragmentsPerPacket: 64,
		MaxBytes:              64 << 20,
		Timeout:               2 * time.Second,
		PerSource:             256,
		PerDestination:        2_048,
	}
}

// Validate reports the values that cannot work. The error wraps ErrConfig.
func (c Config) Validate() error {
	var errs []error
	between := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%w: %s is %d, not between %d and %d", ErrConfig, name, v, low, high))
		}
	}
	between("MaxContexts", c.MaxContexts, 0, maxContexts)
	between("MaxFragmentsPerPacket", c.MaxFragmentsPerPacket, 1, maxPayload)
	between("MaxBytes", c.MaxBytes, 0, maxBytes)
	between("PerSource", c.PerSource, 0, maxContexts)
	between("PerDestination", c.PerDestination, 0, maxContexts)
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("%w: Timeout is %s, not positive", ErrConfig, c.Timeout))
	}
	return errors.Join(errs...)
}
