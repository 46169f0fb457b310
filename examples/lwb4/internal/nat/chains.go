package nat

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// chain is one chain of the table with its rules.
type chain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	rules    []rule
}

// rule is a row of expressions. Each but the last may end the row's evaluation.
type rule = []expr.Any

// concat joins parts of a rule.
func concat(parts ...[]expr.Any) rule { return slices.Concat(parts...) }

func chains(c Config) []chain {
	return []chain{
		{"destination", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, destination(c)},
		{"input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, input(c)},
		{"forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter, forward(c)},
		{"source", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, source(c)},
		// Behind every source NAT, ours and others'.
		{"verify", nftables.ChainTypeFilter, nftables.ChainHookPostrouting, nftables.ChainPriorityConntrackHelper, verify(c)},
	}
}

// wellKnown is the addresses of B4 and AFTR within a softwire (RFC 6333
// section 5.7). PCP uses them, and they are never translated.
var wellKnown = netip.MustParsePrefix("192.0.0.0/29")

// destination forwards services.
func destination(c Config) []rule {
	var rules []rule
	for _, f := range c.Forwards {
		rules = append(rules, concat(
			from(c.Tunnel), destinationIs(netip.PrefixFrom(c.Address, 32)),
			protocolIs(uint8(f.Protocol)), loadTransport(2, 2), equal(be16(f.Port)),
			translateDestination(f.To),
		))
	}
	return rules
}

// input protects the CPE itself from what comes out of the softwire.
func input(c Config) []rule {
	return []rule{
		concat(from(c.Tunnel), stateIs(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept()),
		concat(from(c.Tunnel), sourceIs(wellKnown), protocolIs(unix.IPPROTO_ICMP), accept()),
		concat(from(c.Tunnel), drop()),
	}
}

// forward lets the LAN out, answers and forwarded services in, and nothing
// else.
func forward(c Config) []rule {
	return []rule{
		concat(from(c.Tunnel), to(c.Tunnel), drop()),
		concat(to(c.Tunnel), clampMSS(c.MSS)),
		concat(from(c.Tunnel), clampMSS(c.MSS)),
		concat(from(c.Tunnel), stateIs(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept()),
		concat(from(c.Tunnel), statusIs(statusDNAT), accept()),
		concat(from(c.Tunnel), drop()),
		concat(to(c.Tunnel), from(c.LAN), sourceIs(c.Prefix), accept()),
		concat(to(c.Tunnel), drop()),
	}
}

// source translates what goes into the softwire.
func source(c Config) []rule {
	untranslated := concat(to(c.Tunnel), sourceIs(wellKnown), destinationIs(wellKnown), accept())
	if c.PortSet.Whole() {
		return []rule{untranslated, concat(to(c.Tunnel), translateSource(c.Address))}
	}
	rules := []rule{untranslated}
	for _, p := range []struct {
		protocol uint8
		port     uint32 // offset in the transport header of what is translated
	}{
		{unix.IPPROTO_TCP, 0},
		{unix.IPPROTO_UDP, 0},
		{unix.IPPROTO_ICMP, 4}, // the identifier of queries
	} {
		match := concat(to(c.Tunnel), protocolIs(p.protocol))
		for _, pick := range translateInto(c.Address, c.PortSet, p.port) {
			rules = append(rules, concat(match, pick))
		}
	}
	return rules
}

// verify drops what must not enter the softwire.
func verify(c Config) []rule {
	ours := netip.PrefixFrom(c.Address, 32)
	rules := []rule{
		concat(to(c.Tunnel), sourceIs(wellKnown), destinationIs(wellKnown), accept()),
	}
	if c.PortSet.Whole() {
		return append(rules,
			concat(to(c.Tunnel), sourceIs(ours), accept()),
			concat(to(c.Tunnel), drop()),
		)
	}
	mine := concat(to(c.Tunnel), sourceIs(ours))
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		rules = append(rules, concat(mine, protocolIs(protocol), within(c.PortSet, 0), accept()))
	}
	for _, queries := range icmpQueries {
		rules = append(rules, concat(mine, icmpTypes(queries), within(c.PortSet, 4), accept()))
	}
	for _, errors := range icmpErrors {
		match := concat(mine, icmpTypes(errors))
		// What an error is about came to us, so our port is its destination.
		rules = append(rules,
			concat(match, about(unix.IPPROTO_TCP), within(c.PortSet, embedded+2), accept()),
			concat(match, about(unix.IPPROTO_UDP), within(c.PortSet, embedded+2), accept()),
			concat(match, about(unix.IPPROTO_ICMP), within(c.PortSet, embedded+4), accept()),
		)
	}
	return append(rules, concat(to(c.Tunnel), drop()))
}
