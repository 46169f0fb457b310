package plugin

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv"
)

// VPPConfig is the data plane on VPP: how to reach it, and those settings of
// package forwarder that VPP can follow, under the same keys.
type VPPConfig struct {
	vppdrv.Config

	IPv4Address netip.Addr          `yaml:"ipv4-address"`
	IPv4MTU     int                 `yaml:"ipv4-mtu"`
	TunnelMTU   int                 `yaml:"tunnel-mtu"`
	Hairpin     bool                `yaml:"hairpin"`
	IgnoreDF    bool                `yaml:"ignore-df"`
	ClampMSS    bool                `yaml:"clamp-mss"`
	ICMPv4      VPPICMPv4Config     `yaml:"icmpv4"`
	ICMPv6      VPPICMPv6Config     `yaml:"icmpv6"`
	Reassembly  VPPReassemblyConfig `yaml:"reassembly"`
	// ExceptionQueue is how many packets may wait for the control logic.
	ExceptionQueue int `yaml:"exception-queue"`
}

// VPPICMPv4Config is the policy for ICMPv4 errors.
type VPPICMPv4Config struct {
	Unreachable bool                 `yaml:"unreachable"`
	TooBig      bool                 `yaml:"too-big"`
	Rate        forwarder.RateConfig `yaml:"rate"`
}

// VPPICMPv6Config is the policy for ICMPv6 errors.
type VPPICMPv6Config struct {
	Relay  bool `yaml:"relay"`
	Policy bool `yaml:"policy-error"`
}

// VPPReassemblyConfig bounds what VPP holds of incomplete packets.
type VPPReassemblyConfig struct {
	IPv4 VPPFragmentsConfig `yaml:"ipv4"`
	IPv6 VPPFragmentsConfig `yaml:"ipv6"`
}

// VPPFragmentsConfig is that of one side.
type VPPFragmentsConfig struct {
	MaxPackets   int           `yaml:"max-packets"`
	MaxFragments int           `yaml:"max-fragments"` // of one packet
	Timeout      time.Duration `yaml:"timeout"`       // of one packet
}

func defaultVPP() VPPConfig {
	d := vppdrv.DefaultConfig()
	f := d.Forwarding
	fragments := func(r forwarder.ReassemblyConfig) VPPFragmentsConfig {
		return VPPFragmentsConfig{r.MaxPackets, r.MaxFragments, r.Timeout}
	}
	return VPPConfig{
		Config:      d,
		IPv4Address: f.IPv4Address, IPv4MTU: f.IPv4MTU, TunnelMTU: f.TunnelMTU,
		Hairpin: f.Hairpin, IgnoreDF: f.IgnoreDF, ClampMSS: f.ClampMSS,
		ICMPv4:         VPPICMPv4Config{f.ICMPv4.Unreachable, f.ICMPv4.TooBig, f.ICMPv4.Rate},
		ICMPv6:         VPPICMPv6Config{f.ICMPv6.Relay, f.ICMPv6.Policy},
		Reassembly:     VPPReassemblyConfig{fragments(f.Reassembly.IPv4), fragments(f.Reassembly.IPv6)},
		ExceptionQueue: f.ExceptionQueue,
	}
}

// forwarding is c's settings of forwarding, with what VPP cannot follow as it
// is by default.
func (c VPPConfig) forwarding() forwarder.Config {
	f := forwarder.DefaultConfig()
	f.IPv4Address, f.IPv4MTU, f.TunnelMTU = c.IPv4Address, c.IPv4MTU, c.TunnelMTU
	f.Hairpin, f.IgnoreDF, f.ClampMSS = c.Hairpin, c.IgnoreDF, c.ClampMSS
	f.ICMPv4.Unreachable, f.ICMPv4.TooBig, f.ICMPv4.Rate = c.ICMPv4.Unreachable, c.ICMPv4.TooBig, c.ICMPv4.Rate
	f.ICMPv6.Relay, f.ICMPv6.Policy = c.ICMPv6.Relay, c.ICMPv6.Policy
	for _, side := range []struct {
		to   *forwarder.ReassemblyConfig
		from VPPFragmentsConfig
	}{{&f.Reassembly.IPv4, c.Reassembly.IPv4}, {&f.Reassembly.IPv6, c.Reassembly.IPv6}} {
		side.to.MaxPackets, side.to.MaxFragments, side.to.Timeout = side.from.MaxPackets, side.from.MaxFragments, side.from.Timeout
	}
	f.ExceptionQueue = c.ExceptionQueue
	return f
}

// driver is the configuration of package vppdrv.
func (c VPPConfig) driver() vppdrv.Config {
	d := c.Config
	d.Forwarding = c.forwarding()
	return d
}

// maxUnsupported is how many softwires are reported at most that VPP cannot have.
const maxUnsupported = 100

// carries refuses a table with softwires that the data plane can never have. The
// error is a *ConfigError.
func (c DataplaneConfig) carries(t *softwire.Snapshot) error {
	if c.Type != TypeVPP {
		return nil
	}
	var errs []error
	for _, err := range vppdrv.Unsupported(t.All()) {
		if len(errs) == maxUnsupported {
			errs = append(errs, element.Errorf("softwires", "and more that VPP does not support"))
			break
		}
		errs = append(errs, element.Errorf("softwires", "VPP does not support %v", err))
	}
	if errs == nil {
		return nil
	}
	return &ConfigError{errors.Join(errs...)}
}

// Validate reports what is wrong with c.
func (c VPPConfig) Validate() error {
	// c.Config.Forwarding has no keys: it is what it is by default.
	errs := []error{c.Config.Validate(), c.forwarding().Validate()}
	for i, port := range c.Interfaces.IPv4 {
		for _, a := range port.Addresses {
			if a.IsValid() && a.Contains(c.IPv4Address) {
				errs = append(errs, element.Errorf("ipv4-address", "%s is in the subnet %s of interfaces.ipv4[%d], where VPP lets no other interface have it: use one outside", c.IPv4Address, a.Masked(), i))
			}
		}
	}
	return errors.Join(errs...)
}
