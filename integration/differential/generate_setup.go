package differential

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// maxIncomplete is how many packets may be incomplete at once. It is never
// reached.
const maxIncomplete = 256

// unlimited is a rate that is never reached.
func unlimited() forwarder.RateConfig {
	return forwarder.RateConfig{Total: 1_000_000, PerDestination: 1_000_000}
}

// usual is true nine times in ten: a knob is mostly as it is by default, or
// little would be forwarded.
func (g *generator) usual() bool { return !g.chance(10) }

// configure draws a configuration for the softwires that there are.
func (g *generator) configure() {
	c := forwarder.DefaultConfig()
	if g.chance(3) {
		c.IPv4Address = pick(g, netip.MustParseAddr("203.0.113.254"), netip.MustParseAddr("192.0.2.200"))
	}
	if g.chance(2) {
		c.IPv4MTU = pick(g, 68, 576, 1280, 1400, 1499, 9000, 68+g.IntN(2000))
	}
	if g.chance(2) {
		c.TunnelMTU = pick(g, 1280, 1281, 1287, 1288, 1540, 9000, 1280+g.IntN(800))
	}
	c.HopLimit = pick(g, 64, 64, 1, 255)
	c.Hairpin = g.usual()
	c.IgnoreDF = g.chance(3)
	c.ClampMSS = !g.chance(4)
	c.ICMPv4 = forwarder.ICMPv4Config{
		FromIPv4: g.usual(), FromB4: g.usual(),
		Unreachable: g.usual(), TooBig: g.usual(), TimeExceeded: g.usual(),
		Rate: unlimited(),
	}
	c.ICMPv6 = forwarder.ICMPv6Config{Relay: g.usual(), Policy: g.usual(), Rate: unlimited()}
	c.Reassembly.IPv4 = g.reassembly()
	c.Reassembly.IPv6 = g.reassembly()
	c.ExceptionQueue = pick(g, 64, 64, 1, 2)
	g.config = c
	if g.chance(4) {
		g.filters()
	}
}

// change draws a change of the configuration, of the table or of both.
func (g *generator) change() *Change {
	what := g.IntN(4)
	if what != 0 {
		before := g.config
		g.configure()
		// Changed limits would make held fragments be forgotten, and the length
		// of the queue is not meant to change.
		g.config.Reassembly, g.config.ExceptionQueue = before.Reassembly, before.ExceptionQueue
	}
	switch what {
	case 0, 1:
		g.bind()
	case 2:
		// Some softwires move to another lwB4.
		g.softwires = slices.Clone(g.softwires)
		for i := range g.softwires {
			if g.chance(2) {
				g.softwires[i].B4 = pick(g, g.softwires...).B4
			}
		}
	}
	return &Change{g.config, g.softwires}
}

// reassembly draws limits that leave room for every packet of a scenario, but
// maybe not for all fragments of each.
func (g *generator) reassembly() forwarder.ReassemblyConfig {
	return forwarder.ReassemblyConfig{
		MaxPackets:   maxIncomplete,
		MaxFragments: pick(g, 64, 64, 64, 4, 2, 1),
		MaxBytes:     2 << 20,
		Timeout:      pick(g, 2*time.Second, 2*time.Second, 100*time.Millisecond),
	}
}

// network draws the addresses that are ours.
func (g *generator) network() {
	for i := range 1 + g.IntN(3) {
		g.Network.BRs = append(g.Network.BRs, netip.MustParseAddr(fmt.Sprintf("2001:db8:ff::%x", i+1)))
	}
	g.Network.Pools = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("203.0.113.16/29")}
}

// bind draws a binding table.
func (g *generator) bind() {
	brs := g.Network.BRs
	g.softwires = nil
	b4s := 2 + g.IntN(5)
	addresses := []string{"192.0.2.1", "192.0.2.7", "192.0.2.130", "203.0.113.17", "203.0.113.23"}
	g.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	for _, ip := range addresses[:1+g.IntN(4)] {
		var taken []portset.PortSet
		br := pick(g, brs...)
		for range 1 + g.IntN(5) {
			set := g.portSet(taken)
			overlaps := false
			for _, other := range taken {
				overlaps = overlaps || set.Overlaps(other)
			}
			if overlaps {
				continue
			}
			taken = append(taken, set)
			if g.chance(4) {
				br = pick(g, brs...)
			}
			g.softwires = append(g.softwires, softwire.Softwire{
				IPv4: netip.MustParseAddr(ip), PortSet: set, B4: b4(g.IntN(b4s)), BR: br,
			})
		}
	}
}

// b4 is the address of lwB4 number i.
func b4(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i+1)) }

// portSet draws a set, of the parameters of one that is taken or of others.
func (g *generator) portSet(taken []portset.PortSet) portset.PortSet {
	k := pick[uint8](g, 0, 1, 2, 4, 6, 8, 12, 16)
	a := uint8(g.IntN(int(17 - k)))
	if g.chance(2) {
		a = 0
	}
	if len(taken) > 0 && g.chance(2) {
		a, k = taken[0].Params().Offset(), taken[0].Params().Length()
	}
	set, err := portset.Of(a, k, uint16(g.IntN(1<<k)))
	if err != nil {
		panic(err) // a+k is at most 16 and the PSID in range
	}
	return set
}

// filters draws rules that concern some of the traffic.
func (g *generator) filters() {
	prefixes4 := []netip.Prefix{
		{}, netip.MustParsePrefix("198.51.100.0/30"), netip.MustParsePrefix("192.0.2.0/25"),
		netip.PrefixFrom(g.softwires[0].IPv4, 32), netip.PrefixFrom(g.config.IPv4Address, 32),
	}
	prefixes6 := []netip.Prefix{
		{}, netip.MustParsePrefix("2001:db8:1:2::/64"), netip.MustParsePrefix("2001:db8:ff::/127"),
		netip.PrefixFrom(g.softwires[0].B4, 128), netip.MustParsePrefix("2001:db8:200::/48"),
	}
	rules := func(prefixes []netip.Prefix, protocols ...uint8) []forwarder.FilterRule {
		var all []forwarder.FilterRule
		for range g.IntN(4) {
			r := forwarder.FilterRule{
				Action: pick(g, forwarder.FilterDrop, forwarder.FilterPass),
				Source: pick(g, prefixes...), Destination: pick(g, prefixes...),
			}
			if g.chance(2) {
				r.Protocol = forwarder.Protocol(pick(g, protocols...))
			}
			all = append(all, r)
		}
		return all
	}
	f := &g.config.Filters
	f.IPv4In = rules(prefixes4, protocolTCP, protocolUDP, protocolICMP)
	f.IPv4Out = rules(prefixes4, protocolTCP, protocolUDP, protocolICMP)
	f.IPv6In = rules(prefixes6, protocolIPv4, protocolICMPv6, protocolUDP, protocolFragment)
	f.IPv6Out = rules(prefixes6, protocolIPv4, protocolICMPv6, protocolFragment)
}
