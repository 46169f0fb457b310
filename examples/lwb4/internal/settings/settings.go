// Package settings owns what an operator says of a CPE: the keys of its file, their
// defaults, and what is wrong with them.
package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/lanpcp"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is what an operator says of a CPE.
type Config struct {
	Source   Source         `yaml:"source"`
	Softwire SoftwireConfig `yaml:"softwire"`
	PCP      PCPConfig      `yaml:"pcp"`
	DHCPv6   DHCPv6Config   `yaml:"dhcpv6"`
	Recovery RecoveryConfig `yaml:"recovery"`
	LAN      LANConfig      `yaml:"lan"`
	Tunnel   TunnelConfig   `yaml:"tunnel"`
	Forwards Forwards       `yaml:"forwards"`
	// State is a file that outlasts the program, empty for none.
	State  string       `yaml:"state"`
	Status StatusConfig `yaml:"status"`
	Log    LogConfig    `yaml:"log"`
}

// Source is who says what the softwire is.
type Source string

// The sources.
const (
	SourceStatic Source = "static" // the section softwire
	SourcePCP    Source = "pcp"    // an lwAFTR of the section pcp
	SourceDHCPv6 Source = "dhcpv6" // a DHCPv6 server, or an lwAFTR that it names
)

// SoftwireConfig is what the carrier has assigned, with the names of RFC 8676.
type SoftwireConfig struct {
	B4         netip.Addr `yaml:"b4-ipv6-addr"` // of this CPE; the carrier routes it here
	BR         netip.Addr `yaml:"br-ipv6-addr"` // of the lwAFTR
	IPv4       netip.Addr `yaml:"ipv4-addr"`
	PSIDOffset uint8      `yaml:"psid-offset"` // a, in bits
	PSIDLen    uint8      `yaml:"psid-len"`    // k, in bits; 0 is a whole address
	PSID       uint16     `yaml:"psid"`        // right-justified
}

// PCPConfig says how port sets are asked for.
type PCPConfig struct {
	B4 netip.Addr `yaml:"b4-ipv6-addr"` // of this CPE; the carrier routes it here
	// AFTRs are the BR addresses of lwAFTRs, in order of preference.
	AFTRs     []netip.Addr  `yaml:"aftrs"`
	Transport Transport     `yaml:"transport"`
	Lifetime  time.Duration `yaml:"lifetime"`
	Patience  time.Duration `yaml:"patience"`
	Check     time.Duration `yaml:"check"` // 0 is never
	MaxSets   int           `yaml:"max-port-sets"`
	MoreAt    int           `yaml:"more-at"` // percent of the ports
	IdleAfter time.Duration `yaml:"idle-after"`
	Release   bool          `yaml:"release"`
}

// DHCPv6Config says how the carrier is asked for a prefix and its softwire.
type DHCPv6Config struct {
	Interface string `yaml:"interface"` // to the carrier
	Release   bool   `yaml:"release"`
}

// Transport is how requests get to the lwAFTR.
type Transport string

// The transports.
const (
	TransportSoftwire Transport = "softwire" // IPv4 in the softwire, 192.0.0.2 to 192.0.0.1
	TransportPlain    Transport = "plain"    // IPv6 to the BR address
)

// RecoveryConfig says what to do when the lwAFTR has no binding (RFC 7596 section
// 5.1: the "re-initiation policy SHOULD be configurable").
type RecoveryConfig struct {
	OnUnbound bool          `yaml:"on-unbound"`
	After     time.Duration `yaml:"after"`
	AtMost    time.Duration `yaml:"at-most"`
}

// StatusConfig is where the program says how it is.
type StatusConfig struct {
	Socket string `yaml:"socket"` // a path; empty for none
}

// LANConfig is the subscriber's network. Its interface and address are there
// already.
type LANConfig struct {
	Interface string       `yaml:"interface"`
	Prefix    netip.Prefix `yaml:"prefix"`
	PCP       LANPCPConfig `yaml:"pcp"`
}

// LANPCPConfig is what hosts may ask of the CPE by PCP.
type LANPCPConfig struct {
	Enabled  bool          `yaml:"enabled"`
	Lifetime time.Duration `yaml:"lifetime"` // the longest of a mapping
	PerHost  int           `yaml:"per-host"`
	Total    int           `yaml:"total"`
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

// Default has everything that has a default.
func Default() Config {
	rules := provision.DefaultRules()
	return Config{
		Source: SourceStatic,
		PCP: PCPConfig{
			Transport: TransportSoftwire, Lifetime: time.Hour, Patience: rules.Patience, Check: 30 * time.Second,
			MaxSets: 4, MoreAt: 80, IdleAfter: 10 * time.Minute,
		},
		LAN:      LANConfig{PCP: LANPCPConfig{Enabled: true, Lifetime: time.Hour, PerHost: 64, Total: 256}},
		Recovery: RecoveryConfig{OnUnbound: rules.Recover, After: rules.RecoverAfter, AtMost: rules.RecoverAtMost},
		Tunnel:   TunnelConfig{Device: "softwire", Kind: KindAuto, MTU: 1500, HopLimit: 64, DefaultRoute: true},
		Log:      LogConfig{Level: logrus.InfoLevel},
	}
}

// Rules are the recovery's.
func (c Config) Rules() provision.Rules {
	rules := provision.DefaultRules()
	rules.Patience = c.PCP.Patience
	rules.Recover, rules.RecoverAfter, rules.RecoverAtMost = c.Recovery.OnUnbound, c.Recovery.After, c.Recovery.AtMost
	return rules
}

// Offers are the lwAFTRs that the settings name, none if DHCPv6 does.
func (c Config) Offers() (offers []provision.Offer) {
	if c.Source == SourceStatic {
		s, err := c.static()
		if err != nil {
			return nil // Validate has said so
		}
		ends, ports := assign.Of(s)
		return []provision.Offer{{Ends: ends, Ports: ports}}
	}
	if c.Source != SourcePCP {
		return nil
	}
	for _, br := range c.PCP.AFTRs {
		offers = append(offers, provision.Offer{Ends: assign.Ends{B4: c.PCP.B4, BR: br}})
	}
	return offers
}

// Overheads in octets between the MTU of the tunnel and the MSS of TCP.
const (
	outerHeader = 40
	tcpHeaders  = 20 + 20
)

// NAT is the translation to some ports. Forwards of ports that are not among them
// are left out.
func (c Config) NAT(ports assign.Ports) nat.Config {
	out := nat.Config{
		Tunnel: c.Tunnel.Device, LAN: c.LAN.Interface, Prefix: c.LAN.Prefix, Ports: ports,
		MSS: uint16(c.Tunnel.MTU - outerHeader - tcpHeaders),
	}
	for _, f := range c.Forwards {
		if ports.Contains(f.Port) {
			out.Forwards = append(out.Forwards, nat.Forward{Protocol: f.Protocol, Port: f.Port, To: f.To})
		}
	}
	return out
}

// LANPCP is the PCP server for the LAN.
func (c Config) LANPCP() lanpcp.Config {
	reserved := map[uint16]bool{}
	for _, f := range c.Forwards {
		reserved[f.Port] = true
	}
	p := c.LAN.PCP
	return lanpcp.Config{LAN: c.LAN.Prefix, Lifetime: p.Lifetime, PerHost: p.PerHost, Total: p.Total, Reserved: reserved}
}

// Describe says in a line what the CPE will be.
func (c Config) Describe() string {
	lan := fmt.Sprintf("for %s on %s", c.LAN.Prefix, c.LAN.Interface)
	if c.Source == SourceStatic {
		s, err := c.static()
		if err != nil {
			return "no valid softwire"
		}
		return fmt.Sprintf("softwire %s, %d ports %s", s, s.PortSet.Count(), lan)
	}
	if c.Source == SourceDHCPv6 {
		return fmt.Sprintf("softwire by DHCPv6 on %s, %s", c.DHCPv6.Interface, lan)
	}
	return fmt.Sprintf("port sets by PCP, lwB4 %s, %d lwAFTRs from %s on, %s", c.PCP.B4, len(c.PCP.AFTRs), c.PCP.AFTRs[0], lan)
}

// Validate reports every problem, joined, each as an *element.Error.
func (c Config) Validate() error {
	var errs []error
	switch c.Source {
	case SourceStatic:
		errs = append(errs, element.At("softwire", c.validateStatic()))
	case SourcePCP:
		errs = append(errs, element.At("pcp", c.PCP.validateEnds()))
	case SourceDHCPv6:
		errs = append(errs, element.At("dhcpv6.interface", interfaceName(c.DHCPv6.Interface)))
	default:
		errs = append(errs, element.Errorf("source", "%.40q is not static, pcp or dhcpv6", string(c.Source)))
	}
	return errors.Join(append(errs,
		element.At("pcp", c.PCP.validate()),
		element.At("recovery", c.Recovery.validate()),
		element.At("tunnel", c.Tunnel.validate()),
		c.validateForwards(),
		element.At("lan", c.LAN.validate()),
	)...)
}
