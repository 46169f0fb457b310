package netio

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Kind is how packets of a device get to user space.
type Kind uint8

// The kinds of device.
const (
	// KindTUN is a TUN device. It is created if there is none of that name, and
	// then it is gone when the port is closed. The kernel forwards between it
	// and the network, so IP forwarding must be on.
	KindTUN Kind = iota
	// KindPacket is an Ethernet interface that is there already, opened with an
	// AF_PACKET socket. Packets for the prefixes of Routes are taken; all others
	// are the kernel's business. The kernel sees the former too and is kept from
	// forwarding or answering them by routes into nothing, so one process per
	// network namespace may use packet devices. Pool and BR addresses must not
	// be addresses of the host.
	KindPacket
	// KindMemory is what Memory reports of itself. It cannot be configured.
	KindMemory
)

// String is the kind's name in configuration: "tun" or "packet".
func (k Kind) String() string {
	switch k {
	case KindTUN:
		return "tun"
	case KindPacket:
		return "packet"
	case KindMemory:
		return "memory"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// ParseKind is the inverse of Kind.String for what can be configured.
func ParseKind(text string) (Kind, error) {
	for _, k := range [...]Kind{KindTUN, KindPacket} {
		if text == k.String() {
			return k, nil
		}
	}
	return 0, fmt.Errorf("%q is not a kind of device: use tun or packet", text)
}

// DeviceConfig describes the device of one side.
type DeviceConfig struct {
	Kind Kind
	Name string // of the network interface
	// MTU in bytes is set on a TUN device; 0 leaves it as it is (1500 on a new
	// one). The MTU of a packet interface is the operator's.
	MTU int
	// Addresses are given to a TUN device.
	Addresses []netip.Prefix
	// Routes are the prefixes whose packets the Processor takes from this side:
	// pools on the IPv4 side, BR addresses on the IPv6 side. The kernel routes
	// them to a TUN device, or into nothing beside a packet device. SetRoutes
	// changes them later.
	Routes []netip.Prefix
	// NextHop is the router on the link of a packet interface to which
	// everything is sent; the zero Addr takes the gateway of the kernel's
	// default route through the interface.
	NextHop netip.Addr
}

// Config describes a port.
type Config struct {
	// IPv4 and IPv6 are the devices of the two sides. The same TUN device may
	// serve both; addresses and routes of both are then put on it.
	IPv4, IPv6 DeviceConfig
	// Queues is the number of goroutines that process packets.
	Queues int
	// Batch is how many packets are processed at a time at most.
	Batch int
	// NoOffload keeps packets of the IPv4 side as they are: nothing is joined,
	// and a TUN device is given no super-packets. It makes TCP slower, and is
	// for looking for faults.
	NoOffload bool
}

// DefaultConfig is two TUN devices with one queue.
func DefaultConfig() Config {
	return Config{
		IPv4:   DeviceConfig{Kind: KindTUN, Name: "lw4o6-v4"},
		IPv6:   DeviceConfig{Kind: KindTUN, Name: "lw4o6-v6"},
		Queues: 1,
		Batch:  128,
	}
}

const (
	maxQueues = 256 // what a TUN device can have
	maxBatch  = 1024
	minMTU    = 68 // RFC 791: what every IPv4 link carries
	minMTU6   = 1280
	maxMTU    = 65535
)

// Validate returns all that is wrong with c, joined.
func (c Config) Validate() error {
	var errs []error
	if c.Queues < 1 || c.Queues > maxQueues {
		errs = append(errs, fmt.Errorf("queues: %d is not in 1 to %d", c.Queues, maxQueues))
	}
	if c.Batch < 1 || c.Batch > maxBatch {
		errs = append(errs, fmt.Errorf("batch: %d is not in 1 to %d", c.Batch, maxBatch))
	}
	for _, side := range [...]dataplane.Side{dataplane.SideIPv4, dataplane.SideIPv6} {
		if err := c.device(side).validate(side); err != nil {
			errs = append(errs, fmt.Errorf("%s device: %w", side, err))
		}
	}
	if c.IPv4.Name == c.IPv6.Name {
		switch {
		case c.IPv4.Kind != c.IPv6.Kind:
			errs = append(errs, fmt.Errorf("device %s: both a tun and a packet device", c.IPv4.Name))
		case c.IPv4.Kind == KindTUN && c.IPv4.MTU != c.IPv6.MTU:
			errs = append(errs, fmt.Errorf("device %s: two MTUs, %d and %d", c.IPv4.Name, c.IPv4.MTU, c.IPv6.MTU))
		}
	}
	return errors.Join(errs...)
}

// oneDevice reports whether one TUN device serves both sides.
func (c Config) oneDevice() bool {
	return c.IPv4.Kind == KindTUN && c.IPv6.Kind == KindTUN && c.IPv4.Name == c.IPv6.Name
}

func (c Config) device(side dataplane.Side) DeviceConfig {
	if side == dataplane.SideIPv4 {
		return c.IPv4
	}
	return c.IPv6
}

func (d DeviceConfig) validate(side dataplane.Side) error {
	var errs []error
	// IFNAMSIZ is 16 with a zero byte at the end.
	if len(d.Name) == 0 || len(d.Name) > 15 {
		errs = append(errs, fmt.Errorf("name %q must have 1 to 15 characters", d.Name))
	}
	switch d.Kind {
	case KindTUN:
		errs = append(errs, d.validateTUN(side)...)
	case KindPacket:
		errs = append(errs, d.validatePacket(side)...)
	default:
		errs = append(errs, fmt.Errorf("cannot be configured: %s", d.Kind))
	}
	errs = append(errs, validateRoutes(side, d.Routes)...)
	return errors.Join(errs...)
}

func (d DeviceConfig) validateTUN(side dataplane.Side) (errs []error) {
	least := minMTU
	if side == dataplane.SideIPv6 {
		least = minMTU6
	}
	if d.MTU != 0 && (d.MTU < least || d.MTU > maxMTU) {
		errs = append(errs, fmt.Errorf("MTU %d is not in %d to %d", d.MTU, least, maxMTU))
	}
	for _, prefix := range d.Addresses {
		if !fits(prefix.Addr(), side) {
			errs = append(errs, fmt.Errorf("address %s is not of the %s side", prefix, side))
		}
	}
	if d.NextHop.IsValid() {
		errs = append(errs, errors.New("a next hop is for packet devices; a tun device has none"))
	}
	return errs
}

func (d DeviceConfig) validatePacket(side dataplane.Side) (errs []error) {
	if d.MTU != 0 || len(d.Addresses) > 0 {
		errs = append(errs, errors.New("MTU and addresses are for tun devices; a packet device's are the operator's"))
	}
	if d.NextHop.IsValid() && (!fits(d.NextHop, side) || d.NextHop.IsUnspecified() || d.NextHop.IsMulticast()) {
		errs = append(errs, fmt.Errorf("next hop %s is not a unicast address of the %s side", d.NextHop, side))
	}
	return errs
}

func validateRoutes(side dataplane.Side, routes []netip.Prefix) (errs []error) {
	for _, prefix := range routes {
		if !fits(prefix.Addr(), side) || prefix != prefix.Masked() {
			errs = append(errs, fmt.Errorf("route %s is not a prefix of the %s side", prefix, side))
		}
	}
	return errs
}

// fits reports whether a is an address of side's family.
func fits(a netip.Addr, side dataplane.Side) bool {
	if side == dataplane.SideIPv4 {
		return a.Is4()
	}
	return a.Is6() && !a.Is4In6()
}
