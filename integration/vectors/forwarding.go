package vectors

import (
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// Forwarding is the Setup as the forwarder and the driver of VPP have it.
func (s Setup) Forwarding() forwarder.Config {
	const v4, v6 = dataplane.SideIPv4, dataplane.SideIPv6
	c := forwarder.DefaultConfig()
	c.IPv4Address = s.IPv4Address
	c.IPv4MTU = s.IPv4MTU
	c.TunnelMTU = s.TunnelMTU
	c.Hairpin = s.Hairpin
	// The vectors know no clamping: what comes out is compared with what went in.
	c.ClampMSS = false
	c.ICMPv4 = forwarder.ICMPv4Config{
		FromIPv4:     s.AcceptICMP[v4],
		FromB4:       s.AcceptICMP[v6],
		Unreachable:  s.SendErrors[v4],
		TooBig:       s.SendErrors[v4],
		TimeExceeded: s.SendErrors[v4],
		Rate:         forwarder.RateConfig{Total: s.ErrorRate[v4], PerDestination: s.ErrorRate[v4]},
	}
	c.ICMPv6 = forwarder.ICMPv6Config{
		// A relayed error is ICMP that comes from one side and leaves to the other.
		Relay:  s.AcceptICMP[v6] && s.SendErrors[v4],
		Policy: s.SendErrors[v6],
		Rate:   forwarder.RateConfig{Total: s.ErrorRate[v6], PerDestination: s.ErrorRate[v6]},
	}
	c.Filters = forwarder.FiltersConfig{
		IPv4In: dropAll(s.DropIn[v4]), IPv4Out: dropAll(s.DropOut[v4]),
		IPv6In: dropAll(s.DropIn[v6]), IPv6Out: dropAll(s.DropOut[v6]),
	}
	c.Reassembly.IPv4.MaxFragments = s.MaxFragments[v4]
	c.Reassembly.IPv4.MaxPackets = s.MaxPackets[v4]
	c.Reassembly.IPv6.MaxFragments = s.MaxFragments[v6]
	c.Reassembly.IPv6.MaxPackets = s.MaxPackets[v6]
	return c
}

func dropAll(drop bool) []forwarder.FilterRule {
	if !drop {
		return nil
	}
	return []forwarder.FilterRule{{Action: forwarder.FilterDrop}}
}
