package forwarder

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

// Config is what an operator decides about forwarding. Every field may be
// changed while packets are forwarded.
type Config struct {
	// IPv4Address is the lwAFTR's own IPv4 address: the source of the ICMPv4
	// errors it sends, and an address that answers pings.
	IPv4Address netip.Addr `yaml:"ipv4-address"`
	// IPv4MTU is the largest packet in octets sent to the IPv4 side.
	IPv4MTU int `yaml:"ipv4-mtu"`
	// TunnelMTU is the largest packet in octets sent to the IPv6 side, outer
	// header included.
	TunnelMTU int `yaml:"tunnel-mtu"`
	// HopLimit is that of outer headers.
	HopLimit int `yaml:"hop-limit"`
	// Hairpin forwards from one lwB4 to another (RFC 7596 section 6.2). Without
	// it such packets go to the IPv4 side like all others, and whatever routes
	// there decides about them.
	Hairpin bool `yaml:"hairpin"`
	// IgnoreDF cuts packets that say "don't fragment" instead of dropping them.
	IgnoreDF bool `yaml:"ignore-df"`
	// ClampMSS lowers the MSS of TCP handshakes to what fits both MTUs.
	ClampMSS bool `yaml:"clamp-mss"`

	ICMPv4  ICMPv4Config  `yaml:"icmpv4"`
	ICMPv6  ICMPv6Config  `yaml:"icmpv6"`
	Filters FiltersConfig `yaml:"filters"`
	// Reassembly bounds what each worker holds of incomplete packets.
	Reassembly FragmentsConfig `yaml:"reassembly"`
	// ExceptionQueue is how many packets may wait for the control logic.
	ExceptionQueue int `yaml:"exception-queue"`
}

// ICMPv4Config is the policy for ICMPv4 (RFC 7596 sections 6.2 and 8.1).
type ICMPv4Config struct {
	// FromIPv4 and FromB4 forward ICMPv4 messages that come from that side.
	FromIPv4 bool `yaml:"from-ipv4"`
	FromB4   bool `yaml:"from-b4"`
	// The errors that the lwAFTR itself sends.
	Unreachable  bool `yaml:"unreachable"`
	TooBig       bool `yaml:"too-big"`
	TimeExceeded bool `yaml:"time-exceeded"`
	// Rate limits the sum of the above.
	Rate RateConfig `yaml:"rate"`
}

// ICMPv6Config is the policy for ICMPv6 to and from BR addresses.
type ICMPv6Config struct {
	// Relay turns errors from inside the access network into ICMPv4 errors
	// (RFC 2473 section 8).
	Relay bool `yaml:"relay"`
	// Policy sends type 1 code 5 to a lwB4 without a matching softwire.
	Policy bool       `yaml:"policy-error"`
	Rate   RateConfig `yaml:"rate"`
}

// RateConfig limits generated errors, in packets per second.
type RateConfig struct {
	Total          int `yaml:"total"`
	PerDestination int `yaml:"per-destination"`
}

// FragmentsConfig bounds what is held of incomplete packets from each side.
type FragmentsConfig struct {
	IPv4 ReassemblyConfig `yaml:"ipv4"`
	// IPv6 is for tunnel packets, and for IPv4 fragments inside softwires.
	IPv6 ReassemblyConfig `yaml:"ipv6"`
}

// ReassemblyConfig bounds what is held of incomplete packets.
type ReassemblyConfig struct {
	MaxPackets     int           `yaml:"max-packets"`
	MaxFragments   int           `yaml:"max-fragments"`   // of one packet
	MaxBytes       int           `yaml:"max-bytes"`       // of all of them
	Timeout        time.Duration `yaml:"timeout"`         // of one packet
	PerSource      int           `yaml:"per-source"`      // packets; 0 is no limit
	PerDestination int           `yaml:"per-destination"` // packets; 0 is no limit
}

func (c ReassemblyConfig) config() reassembly.Config {
	return reassembly.Config{
		MaxContexts:           c.MaxPackets,
		MaxFragmentsPerPacket: c.MaxFragments,
		MaxBytes:              c.MaxBytes,
		Timeout:               c.Timeout,
		PerSource:             c.PerSource,
		PerDestination:        c.PerDestination,
	}
}

func defaultReassembly() ReassemblyConfig {
	d := reassembly.DefaultConfig()
	return ReassemblyConfig{
		MaxPackets:     d.MaxContexts,
		MaxFragments:   d.MaxFragmentsPerPacket,
		MaxBytes:       d.MaxBytes,
		Timeout:        d.Timeout,
		PerSource:      d.PerSource,
		PerDestination: d.PerDestination,
	}
}

// DefaultConfig is the Config of an operator who says nothing.
func DefaultConfig() Config {
	return Config{
		// RFC 7600 section 4.5 sets 192.0.0.8 aside for nodes that must send
		// ICMPv4 and have no IPv4 address of their own.
		IPv4Address: netip.AddrFrom4([4]byte{192, 0, 0, 8}),
		IPv4MTU:     1500,
		TunnelMTU:   1500,
		HopLimit:    64,
		Hairpin:     true,
		ClampMSS:    true,
		ICMPv4: ICMPv4Config{
			FromIPv4: true, FromB4: true,
			Unreachable: true, TooBig: true, TimeExceeded: true,
			Rate: RateConfig{Total: 1000, PerDestination: 10},
		},
		ICMPv6: ICMPv6Config{
			Relay: true, Policy: true,
			Rate: RateConfig{Total: 1000, PerDestination: 10},
		},
		Reassembly:     FragmentsConfig{IPv4: defaultReassembly(), IPv6: defaultReassembly()},
		ExceptionQueue: 1024,
	}
}

// Limits of a Config.
const (
	minTunnelMTU = 1280 // RFC 8200 section 5: every IPv6 link carries this
	minIPv4MTU   = 68   // RFC 791 section 3.2
	maxMTU       = 65535
	maxRate      = 1_000_000
)

// Validate reports every value that cannot work, each as an element.Error.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, element.Errorf(key, format, args...))
		}
	}
	between := func(key string, v, low, high int) {
		check(v >= low && v <= high, key, "%d is not between %d and %d", v, low, high)
	}
	a := c.IPv4Address
	check(a.Is4() && !martianSource4(a.As4()), "ipv4-address", "%s is not an IPv4 unicast address", a)
	between("ipv4-mtu", c.IPv4MTU, minIPv4MTU, maxMTU)
	between("tunnel-mtu", c.TunnelMTU, minTunnelMTU, maxMTU)
	between("hop-limit", c.HopLimit, 1, 255)
	between("icmpv4.rate.total", c.ICMPv4.Rate.Total, 0, maxRate)
	between("icmpv4.rate.per-destination", c.ICMPv4.Rate.PerDestination, 0, maxRate)
	between("icmpv6.rate.total", c.ICMPv6.Rate.Total, 0, maxRate)
	between("icmpv6.rate.per-destination", c.ICMPv6.Rate.PerDestination, 0, maxRate)
	for _, side := range []struct {
		key string
		ReassemblyConfig
	}{{"reassembly.ipv4", c.Reassembly.IPv4}, {"reassembly.ipv6", c.Reassembly.IPv6}} {
		key, r := side.key, side.ReassemblyConfig
		between(key+".max-packets", r.MaxPackets, 0, 1<<20)
		between(key+".max-fragments", r.MaxFragments, 1, 1<<13)
		between(key+".max-bytes", r.MaxBytes, 0, 1<<32)
		between(key+".per-source", r.PerSource, 0, 1<<20)
		between(key+".per-destination", r.PerDestination, 0, 1<<20)
		check(r.Timeout > 0 && r.Timeout <= time.Minute, key+".timeout", "%s is not between 0s and 1m0s", r.Timeout)
	}
	between("exception-queue", c.ExceptionQueue, 1, 1<<16)
	errs = append(errs, c.Filters.validate()...)
	return errors.Join(errs...)
}
