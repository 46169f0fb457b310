package cpe

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/tunnel"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Config is what an operator says of a CPE.
type Config struct {
	Softwire SoftwireConfig `yaml:"softwire"`
	LAN      LANConfig      `yaml:"lan"`
	Tunnel   TunnelConfig   `yaml:"tunnel"`
	Forwards Forwards       `yaml:"forwards"`
	Log      LogConfig      `yaml:"log"`
}

// SoftwireConfig is what the carrier has assigned, with the names of RFC 8676.
type SoftwireConfig struct {
	B4         netip.Addr `yaml:"b4-ipv6-addr"` // of this CPE; the carrier routes it here
	BR         netip.Addr `yaml:"br-ipv6-addr"` // of the lwAFTR
	IPv4       netip.Addr `yaml:"ipv4-addr"`
	PSIDOffset uint8      `yaml:"psid-offset"` // a, in bits
	PSIDLen    uint8      `yaml:"psid-len"`    // k, in bits; 0 is a whole address
	PSID       uint16     `yaml:"psid"`        // right-justified
}

// LANConfig is the subscriber's network. Its interface and address are there
// already.
type LANConfig struct {
	Interface string       `yaml:"interface"`
	Prefix    netip.Prefix `yaml:"prefix"`
}

// TunnelConfig is the device that leads to the AFTR.
type TunnelConfig struct {
	Device string `yaml:"device"`
	// Kind is "kernel", "user" or "auto": the kernel's tunnel if it has one.
	Kind         Kind  `yaml:"kind"`
	MTU          int   `yaml:"mtu"` // of outer packets, in octets
	HopLimit     uint8 `yaml:"hop-limit"`
	DefaultRoute bool  `yaml:"default-route"`
}

// Kind is who runs the tunnel.
type Kind string

// The kinds of tunnel.
const (
	KindAuto   Kind = "auto"
	KindKernel Kind = "kernel"
	KindUser   Kind = "user"
)

// Forwards are services in the LAN that the Internet reaches.
type Forwards []ForwardConfig

// ForwardConfig is one service.
type ForwardConfig struct {
	Protocol nat.Protocol   `yaml:"protocol"`
	Port     uint16         `yaml:"port"` // of the IPv4 address, within the port set
	To       netip.AddrPort `yaml:"to"`
}

// LogConfig says what is logged to standard error.
type LogConfig struct {
	Level logrus.Level `yaml:"level"`
}

// DefaultConfig has everything that has a default.
func DefaultConfig() Config {
	return Config{
		Tunnel: TunnelConfig{Device: "softwire", Kind: KindAuto, MTU: 1500, HopLimit: 64, DefaultRoute: true},
		Log:    LogConfig{Level: logrus.InfoLevel},
	}
}

// Validate reports every problem, joined, each as an *element.Error.
func (c Config) Validate() error {
	s, err := c.softwire()
	errs := []error{element.At("softwire", err)}
	if err == nil {
		errs = append(errs, element.At("tunnel", c.Tunnel.validate(s)))
		errs = append(errs, element.At("forwards", c.Forwards.validate(s.PortSet, c.LAN.Prefix)))
	}
	errs = append(errs, element.At("lan", c.LAN.validate()))
	return errors.Join(errs...)
}

// softwire is the assignment as a value. The error places each problem at its
// key below "softwire".
func (c Config) softwire() (softwire.Softwire, error) {
	in := c.Softwire
	var errs []error
	for _, want := range []struct {
		key  string
		addr netip.Addr
	}{
		{"b4-ipv6-addr", in.B4}, {"br-ipv6-addr", in.BR}, {"ipv4-addr", in.IPv4},
	} {
		if !want.addr.IsValid() {
			errs = append(errs, element.Errorf(want.key, "is missing"))
		}
	}
	ports, err := portset.Of(in.PSIDOffset, in.PSIDLen, in.PSID)
	if err != nil {
		errs = append(errs, element.Errorf(keyOf(err), "%w", err))
	}
	s := softwire.Softwire{IPv4: in.IPv4, PortSet: ports, B4: in.B4, BR: in.BR}
	if len(errs) == 0 {
		errs = append(errs, s.Validate())
	}
	return s, errors.Join(errs...)
}

// keyOf is the key that an error of package portset is about.
func keyOf(err error) string {
	if errors.Is(err, portset.ErrPSID) {
		return "psid"
	}
	return "psid-len"
}

func (l LANConfig) validate() error {
	var errs []error
	if l.Interface == "" {
		errs = append(errs, element.Errorf("interface", "is missing"))
	} else if len(l.Interface) > 15 {
		errs = append(errs, element.Errorf("interface", "%.40q has more than 15 characters", l.Interface))
	}
	switch {
	case !l.Prefix.IsValid():
		errs = append(errs, element.Errorf("prefix", "is missing"))
	case !l.Prefix.Addr().Is4():
		errs = append(errs, element.Errorf("prefix", "%s is not IPv4", l.Prefix))
	case l.Prefix != l.Prefix.Masked():
		errs = append(errs, element.Errorf("prefix", "%s has host bits: use %s", l.Prefix, l.Prefix.Masked()))
	}
	return errors.Join(errs...)
}

func (t TunnelConfig) validate(s softwire.Softwire) error {
	var errs []error
	switch t.Kind {
	case KindAuto, KindKernel, KindUser:
	default:
		errs = append(errs, element.Errorf("kind", "%.40q is not auto, kernel or user", string(t.Kind)))
	}
	if t.Device == "" || len(t.Device) > 15 {
		errs = append(errs, element.Errorf("device", "%.40q must have 1 to 15 characters", t.Device))
	}
	if t.MTU < tunnel.MinMTU || t.MTU > 65535 {
		errs = append(errs, element.Errorf("mtu", "%d is not in %d to 65535", t.MTU, tunnel.MinMTU))
	}
	if t.HopLimit == 0 {
		errs = append(errs, element.Errorf("hop-limit", "0 reaches nobody"))
	}
	if len(errs) == 0 {
		errs = append(errs, t.config(s).Validate())
	}
	return errors.Join(errs...)
}

func (t TunnelConfig) config(s softwire.Softwire) tunnel.Config {
	return tunnel.Config{
		Name: t.Device, Softwire: s, MTU: t.MTU, HopLimit: t.HopLimit, DefaultRoute: t.DefaultRoute,
	}
}

func (f Forwards) validate(ports portset.PortSet, lan netip.Prefix) error {
	type service struct {
		protocol nat.Protocol
		port     uint16
	}
	seen := map[service]int{}
	var errs []error
	for i, one := range f {
		bad := func(key, format string, args ...any) {
			errs = append(errs, element.At(element.Item("", i), element.Errorf(key, format, args...)))
		}
		if one.Protocol == 0 {
			bad("protocol", "is missing")
		}
		if !ports.Contains(one.Port) {
			bad("port", "%d is not in port set %s", one.Port, ports)
		}
		if !one.To.IsValid() || !lan.Contains(one.To.Addr()) || one.To.Port() == 0 {
			bad("to", "%s is no host with a port in %s", one.To, lan)
		}
		this := service{one.Protocol, one.Port}
		if before, ok := seen[this]; ok {
			bad("port", "%s %d is forwarded by item %d already", one.Protocol, one.Port, before)
		}
		seen[this] = i
	}
	return errors.Join(errs...)
}

// Overheads in octets between the MTU of the tunnel and the MSS of TCP.
const (
	outerHeader = 40
	tcpHeaders  = 20 + 20
)

// nat is the translation that goes with the tunnel.
func (c Config) nat(s softwire.Softwire) nat.Config {
	out := nat.Config{
		Tunnel: c.Tunnel.Device, LAN: c.LAN.Interface, Prefix: c.LAN.Prefix,
		Address: s.IPv4, PortSet: s.PortSet,
		MSS: uint16(c.Tunnel.MTU - outerHeader - tcpHeaders),
	}
	for _, f := range c.Forwards {
		out.Forwards = append(out.Forwards, nat.Forward{Protocol: f.Protocol, Port: f.Port, To: f.To})
	}
	return out
}

// Describe says in a line what the CPE will be.
func (c Config) Describe() string {
	s, err := c.softwire()
	if err != nil {
		return "no valid softwire"
	}
	return fmt.Sprintf("softwire %s, %d ports for %s on %s", s, s.PortSet.Count(), c.LAN.Prefix, c.LAN.Interface)
}
