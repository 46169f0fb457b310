package vectors

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// conf is what cases.json has under confs.
type conf struct {
	Softwires []struct {
		IPv4         netip.Addr `json:"ipv4"`
		PSIDLength   uint8      `json:"psid_length"`
		ReservedBits int        `json:"reserved_bits"`
		PSID         uint16     `json:"psid"`
		B4           netip.Addr `json:"b4_ipv6"`
		BR           netip.Addr `json:"br_address"`
	} `json:"softwires"`
	External confSide  `json:"external"`
	Internal confSide  `json:"internal"`
	ExtIf    confPlace `json:"ext_if"`
	IntIf    confPlace `json:"int_if"`
}

// confSide is the settings of one side.
type confSide struct {
	MTU                int     `json:"mtu"`
	AllowIncomingICMP  bool    `json:"allow_incoming_icmp"`
	GenerateICMPErrors bool    `json:"generate_icmp_errors"`
	IngressFilter      *string `json:"ingress_filter"`
	EgressFilter       *string `json:"egress_filter"`
	ErrorRatePackets   int     `json:"error_rate_packets"`
	ErrorRatePeriod    int     `json:"error_rate_period_s"`
	MaxFragments       int     `json:"max_fragments_per_packet"`
	MaxPackets         int     `json:"max_packets"`
	Hairpinning        bool    `json:"hairpinning"`
}

// confPlace is an interface of the lwAFTR.
type confPlace struct {
	IP netip.Addr `json:"ip"`
}

// Setup is a case's configuration in the words of this project.
type Setup struct {
	Softwires   []softwire.Softwire
	Routed      []netip.Addr // IPv4 addresses that are led to the lwAFTR, softwires or not
	IPv4Address netip.Addr   // source of ICMPv4 errors
	BRAddress   netip.Addr   // answers pings, besides the softwires' BR addresses
	IPv4MTU     int          // octets
	TunnelMTU   int          // octets, outer header included
	Hairpin     bool
	AcceptICMP  [2]bool // ICMP from a side is processed
	SendErrors  [2]bool // ICMP errors are sent to a side: ICMPv4, ICMPv6
	DropIn      [2]bool // a filter drops all that comes from a side
	DropOut     [2]bool // a filter drops all that leaves to a side
	ErrorRate   [2]int  // errors per second to a side
	// Reassembly limits of what comes from a side.
	MaxFragments [2]int // of one packet
	MaxPackets   [2]int // incomplete at a time
}

// Network is the addresses that are the lwAFTR's in this setup.
func (s Setup) Network() dataplane.Network {
	pools, brs := map[netip.Prefix]bool{}, map[netip.Addr]bool{s.BRAddress: true}
	n := dataplane.Network{BRs: []netip.Addr{s.BRAddress}}
	pool := func(a netip.Addr) {
		if p := netip.PrefixFrom(a, 32); !pools[p] {
			pools[p] = true
			n.Pools = append(n.Pools, p)
		}
	}
	for _, a := range s.Routed {
		pool(a)
	}
	for _, w := range s.Softwires {
		pool(w.IPv4)
		if !brs[w.BR] {
			brs[w.BR] = true
			n.BRs = append(n.BRs, w.BR)
		}
	}
	return n
}

// setup translates c.
func (c conf) setup() (Setup, error) {
	if !c.ExtIf.IP.Is4() {
		return Setup{}, fmt.Errorf("ext_if.ip: %s is no IPv4 address", c.ExtIf.IP)
	}
	if !c.IntIf.IP.Is6() {
		return Setup{}, fmt.Errorf("int_if.ip: %s is no IPv6 address", c.IntIf.IP)
	}
	s := Setup{
		IPv4Address: c.ExtIf.IP,
		BRAddress:   c.IntIf.IP,
		IPv4MTU:     c.External.MTU,
		TunnelMTU:   c.Internal.MTU,
		Hairpin:     c.Internal.Hairpinning,
	}
	for i, raw := range c.Softwires {
		if raw.ReservedBits != 0 {
			return Setup{}, fmt.Errorf("softwires[%d]: reserved_bits %d, only 0 is understood", i, raw.ReservedBits)
		}
		ports, err := portset.Of(0, raw.PSIDLength, raw.PSID)
		if err != nil {
			return Setup{}, fmt.Errorf("softwires[%d]: %w", i, err)
		}
		s.Softwires = append(s.Softwires, softwire.Softwire{IPv4: raw.IPv4, PortSet: ports, B4: raw.B4, BR: raw.BR})
	}
	for _, side := range []struct {
		side dataplane.Side
		name string
		conf confSide
	}{
		{dataplane.SideIPv4, "external", c.External},
		{dataplane.SideIPv6, "internal", c.Internal},
	} {
		if err := s.side(side.side, side.conf); err != nil {
			return Setup{}, fmt.Errorf("%s.%w", side.name, err)
		}
	}
	return s, nil
}

// side translates the settings of one side.
func (s *Setup) side(side dataplane.Side, c confSide) error {
	s.AcceptICMP[side] = c.AllowIncomingICMP
	s.SendErrors[side] = c.GenerateICMPErrors
	var err error
	if s.DropIn[side], err = dropsAll(c.IngressFilter); err != nil {
		return fmt.Errorf("ingress_filter: %w", err)
	}
	if s.DropOut[side], err = dropsAll(c.EgressFilter); err != nil {
		return fmt.Errorf("egress_filter: %w", err)
	}
	if c.ErrorRatePeriod < 1 || c.ErrorRatePackets < 0 {
		return fmt.Errorf("error_rate: %d packets in %d s", c.ErrorRatePackets, c.ErrorRatePeriod)
	}
	s.ErrorRate[side] = c.ErrorRatePackets / c.ErrorRatePeriod
	if c.MaxFragments < 1 || c.MaxPackets < 1 {
		return fmt.Errorf("max_fragments_per_packet %d, max_packets %d: at least 1 each", c.MaxFragments, c.MaxPackets)
	}
	s.MaxFragments[side] = c.MaxFragments
	s.MaxPackets[side] = c.MaxPackets
	return nil
}

// dropsAll translates a filter, which is an expression of what passes.
func dropsAll(filter *string) (bool, error) {
	if filter == nil {
		return false, nil
	}
	switch *filter {
	case "", "ip", "ip6":
		return false, nil
	case "len < 0":
		return true, nil
	}
	return false, fmt.Errorf("%q is none of the filters that are understood: null, ip, ip6, len < 0", *filter)
}
