package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/tunnel"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func (c Config) validateStatic() error {
	_, err := c.static()
	return err
}

// static is the assignment as a value. The error places each problem at its key
// below "softwire".
func (c Config) static() (softwire.Softwire, error) {
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

// validateEnds looks at what only the source pcp needs.
func (p PCPConfig) validateEnds() error {
	var errs []error
	if !p.B4.IsValid() {
		errs = append(errs, element.Errorf("b4-ipv6-addr", "is missing"))
	} else if !tunnel.End(p.B4) {
		errs = append(errs, element.Errorf("b4-ipv6-addr", "%s is no global IPv6 address", p.B4))
	}
	if len(p.AFTRs) == 0 {
		errs = append(errs, element.Errorf("aftrs", "is missing"))
	}
	seen := map[netip.Addr]bool{p.B4: true}
	for i, a := range p.AFTRs {
		switch {
		case !tunnel.End(a):
			errs = append(errs, element.Errorf(element.Item("aftrs", i), "%s is no global IPv6 address", a))
		case seen[a]:
			errs = append(errs, element.Errorf(element.Item("aftrs", i), "%s is there already", a))
		}
		seen[a] = true
	}
	return errors.Join(errs...)
}

// Bounds of durations. RFC 6887 section 15 has servers refuse less than two minutes.
const (
	leastLifetime = 2 * time.Minute
	mostLifetime  = 24 * time.Hour
)

func (p PCPConfig) validate() error {
	var errs []error
	if p.Transport != TransportSoftwire && p.Transport != TransportPlain {
		errs = append(errs, element.Errorf("transport", "%.40q is not softwire or plain", string(p.Transport)))
	}
	for _, d := range []struct {
		key         string
		is          time.Duration
		least, most time.Duration
	}{
		{"lifetime", p.Lifetime, leastLifetime, mostLifetime},
		{"patience", p.Patience, time.Second, time.Hour},
		{"idle-after", p.IdleAfter, time.Second, mostLifetime},
	} {
		errs = append(errs, between(d.key, d.is, d.least, d.most))
	}
	if p.Check != 0 {
		errs = append(errs, between("check", p.Check, time.Second, time.Hour))
	}
	if p.MaxSets < 1 || p.MaxSets > assign.MaxSets {
		errs = append(errs, element.Errorf("max-port-sets", "%d is not in 1 to %d", p.MaxSets, assign.MaxSets))
	}
	if p.MoreAt < 1 || p.MoreAt > 100 {
		errs = append(errs, element.Errorf("more-at", "%d is not in 1 to 100 percent", p.MoreAt))
	}
	return errors.Join(errs...)
}

func between(key string, d, least, most time.Duration) error {
	if d < least || d > most {
		return element.Errorf(key, "%s is not in %s to %s", d, least, most)
	}
	return nil
}

func (r RecoveryConfig) validate() error {
	if err := between("after", r.After, time.Second, time.Hour); err != nil {
		return err
	}
	return between("at-most", r.AtMost, r.After, 24*time.Hour)
}

// interfaceName finds names that no interface can have.
func interfaceName(name string) error {
	switch {
	case name == "":
		return errors.New("is missing")
	case len(name) > 15:
		return fmt.Errorf("%.40q has more than 15 characters", name)
	}
	return nil
}

func (l LANConfig) validate() error {
	var errs []error
	errs = append(errs, element.At("interface", interfaceName(l.Interface)))
	switch {
	case !l.Prefix.IsValid():
		errs = append(errs, element.Errorf("prefix", "is missing"))
	case !l.Prefix.Addr().Is4():
		errs = append(errs, element.Errorf("prefix", "%s is not IPv4", l.Prefix))
	case l.Prefix != l.Prefix.Masked():
		errs = append(errs, element.Errorf("prefix", "%s has host bits: use %s", l.Prefix, l.Prefix.Masked()))
	}
	return errors.Join(append(errs, element.At("pcp", l.PCP.validate()))...)
}

// mostMappings bounds the mappings of a LAN: each is in the rules of the kernel.
const mostMappings = 4096

func (p LANPCPConfig) validate() error {
	errs := []error{between("lifetime", p.Lifetime, leastLifetime, mostLifetime)}
	if p.PerHost < 1 || p.PerHost > mostMappings {
		errs = append(errs, element.Errorf("per-host", "%d is not in 1 to %d", p.PerHost, mostMappings))
	}
	if p.Total < 1 || p.Total > mostMappings {
		errs = append(errs, element.Errorf("total", "%d is not in 1 to %d", p.Total, mostMappings))
	}
	return errors.Join(errs...)
}

func (t TunnelConfig) validate() error {
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
	return errors.Join(errs...)
}

// validateForwards holds forwards against the LAN and, where they are known, the
// ports.
func (c Config) validateForwards() error {
	ports, known := assign.Ports{}, false
	if c.Source == SourceStatic {
		s, err := c.static()
		if err != nil {
			return nil // said already
		}
		_, ports = assign.Of(s)
		known = true
	}
	type service struct {
		protocol nat.Protocol
		port     uint16
	}
	seen := map[service]int{}
	var errs []error
	for i, one := range c.Forwards {
		bad := func(key, format string, args ...any) {
			errs = append(errs, element.At(element.Item("forwards", i), element.Errorf(key, format, args...)))
		}
		if one.Protocol == 0 {
			bad("protocol", "is missing")
		}
		if known && !ports.Contains(one.Port) {
			bad("port", "%d is not in port set %s", one.Port, ports.Sets[0])
		}
		if !one.To.IsValid() || !c.LAN.Prefix.Contains(one.To.Addr()) || one.To.Port() == 0 {
			bad("to", "%s is no host with a port in %s", one.To, c.LAN.Prefix)
		}
		this := service{one.Protocol, one.Port}
		if before, ok := seen[this]; ok {
			bad("port", "%s %d is forwarded by item %d already", one.Protocol, one.Port, before)
		}
		seen[this] = i
	}
	return errors.Join(errs...)
}
