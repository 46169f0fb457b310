package forwarder

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// FiltersConfig is the filters of both sides. "in" is for packets that come
// from that side and "out" for those that leave to it. On the IPv6 side they
// see the outer header and, as protocol, what follows its extension headers; a
// fragment must pass as what it is (44) and as what it is a part of.
type FiltersConfig struct {
	IPv4In  []FilterRule `yaml:"ipv4-in"`
	IPv4Out []FilterRule `yaml:"ipv4-out"`
	IPv6In  []FilterRule `yaml:"ipv6-in"`
	IPv6Out []FilterRule `yaml:"ipv6-out"`
}

// FilterRule decides about the packets that it matches; the first rule that
// matches decides, and a packet that none matches passes.
type FilterRule struct {
	Action FilterAction `yaml:"action" config:"required"`
	// Source and Destination match addresses within; unset matches all.
	Source      netip.Prefix `yaml:"source"`
	Destination netip.Prefix `yaml:"destination"`
	// Protocol is the IP protocol number; unset matches all.
	Protocol FilterProtocol `yaml:"protocol"`
}

// FilterAction is what a FilterRule does with a packet.
type FilterAction string

// The actions of a FilterRule.
const (
	FilterPass FilterAction = "pass"
	FilterDrop FilterAction = "drop"
)

// maxFilterRules bounds each list: rules are tried one by one for each packet.
const maxFilterRules = 256

// FilterProtocol is an IP protocol by name (tcp, udp, icmp, ipv4, icmpv6) or
// number. The zero value is any protocol.
type FilterProtocol struct {
	set    bool
	number uint8
}

// Protocol returns the FilterProtocol of an IP protocol number.
func Protocol(number uint8) FilterProtocol { return FilterProtocol{true, number} }

// UnmarshalText accepts a name or a number from 0 to 255.
func (p *FilterProtocol) UnmarshalText(text []byte) error {
	switch s := strings.ToLower(string(text)); s {
	case "tcp":
		*p = Protocol(protoTCP)
	case "udp":
		*p = Protocol(protoUDP)
	case "icmp":
		*p = Protocol(protoICMP)
	case "ipv4":
		*p = Protocol(protoIPv4)
	case "icmpv6":
		*p = Protocol(protoICMPv6)
	default:
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			return fmt.Errorf("protocol %q is neither tcp, udp, icmp, ipv4, icmpv6 nor a number up to 255", text)
		}
		*p = Protocol(uint8(n))
	}
	return nil
}

// MarshalText is the number, or nothing for any protocol.
func (p FilterProtocol) MarshalText() ([]byte, error) {
	if !p.set {
		return nil, nil
	}
	return strconv.AppendUint(nil, uint64(p.number), 10), nil
}

func (c FiltersConfig) validate() []error {
	var errs []error
	for _, list := range []struct {
		key   string
		rules []FilterRule
		ipv4  bool
	}{
		{"filters.ipv4-in", c.IPv4In, true}, {"filters.ipv4-out", c.IPv4Out, true},
		{"filters.ipv6-in", c.IPv6In, false}, {"filters.ipv6-out", c.IPv6Out, false},
	} {
		if len(list.rules) > maxFilterRules {
			errs = append(errs, element.Errorf(list.key, "%d rules, at most %d are allowed", len(list.rules), maxFilterRules))
		}
		for i, r := range list.rules {
			bad := func(leaf, format string, args ...any) {
				errs = append(errs, element.Errorf(element.Join(element.Item(list.key, i), leaf), format, args...))
			}
			if r.Action != FilterPass && r.Action != FilterDrop {
				bad("action", "%q is neither %s nor %s", r.Action, FilterPass, FilterDrop)
			}
			if r.Source.IsValid() && r.Source.Addr().Is4() != list.ipv4 {
				bad("source", "%s is of the wrong address family", r.Source)
			}
			if r.Destination.IsValid() && r.Destination.Addr().Is4() != list.ipv4 {
				bad("destination", "%s is of the wrong address family", r.Destination)
			}
		}
	}
	return errs
}

// refuses reports whether rules drop a packet with these header fields.
func refuses(rules []FilterRule, src, dst netip.Addr, proto uint8) bool {
	for i := range rules {
		r := &rules[i]
		if r.Protocol.set && r.Protocol.number != proto ||
			r.Source.IsValid() && !r.Source.Contains(src) ||
			r.Destination.IsValid() && !r.Destination.Contains(dst) {
			continue
		}
		return r.Action == FilterDrop
	}
	return false
}
