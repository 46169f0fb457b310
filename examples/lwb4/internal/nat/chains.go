package nat

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/plugin/portset"
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

// destination lets in what the LAN's mappings and forwards are for.
func destination(c Config) []rule {
	if len(c.Ports.Sets) == 0 {
		return nil
	}
	ours := concat(from(c.Tunnel), destinationIs(netip.PrefixFrom(c.Ports.IPv4, 32)))
	return []rule{
		concat(ours, translateToHost(mapPeers, inboundKey(), peerKey())),
		concat(ours, translateToHost(mapInbound, inboundKey())),
	}
}

// input protects the CPE itself from what comes out of the softwire.
func input(c Config) []rule {
	return []rule{
		concat(from(c.Tunnel), stateIs(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept()),
		concat(from(c.Tunnel), sourceIs(assign.WellKnown), protocolIs(unix.IPPROTO_ICMP), accept()),
		concat(from(c.Tunnel), sourceIs(assign.WellKnown), protocolIs(unix.IPPROTO_UDP), loadTransport(0, 2), equal(be16(pcpPort)), accept()),
		concat(from(c.Tunnel), drop(counterDropped)),
	}
}

// pcpPort is where a PCP server answers from, also unasked (RFC 6887 section 14).
const pcpPort = 5351

// forward lets the LAN out, answers and forwarded services in, and nothing
// else.
func forward(c Config) []rule {
	rules := []rule{
		concat(from(c.Tunnel), to(c.Tunnel), drop(counterDropped)),
		concat(to(c.Tunnel), clampMSS(c.MSS)),
		concat(from(c.Tunnel), clampMSS(c.MSS)),
		concat(from(c.Tunnel), stateIs(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept()),
		concat(from(c.Tunnel), statusIs(statusDNAT), accept()),
		concat(from(c.Tunnel), drop(counterDropped)),
	}
	if len(c.Ports.Sets) == 0 {
		return append(rules, concat(to(c.Tunnel), count(counterUnassigned), reject(icmpNoNetwork)))
	}
	if !c.Ports.Whole() {
		for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			rules = append(rules, concat(to(c.Tunnel), beyond(protocol, c.open()), answer(protocol)))
		}
	}
	return append(rules,
		concat(to(c.Tunnel), from(c.LAN), sourceIs(c.Prefix), accept()),
		concat(to(c.Tunnel), drop(counterDropped)),
	)
}

// source translates what goes into the softwire.
func source(c Config) []rule {
	rules := []rule{concat(to(c.Tunnel), sourceIs(assign.WellKnown), destinationIs(assign.WellKnown), accept())}
	if len(c.Ports.Sets) == 0 {
		return rules
	}
	rules = append(rules, concat(to(c.Tunnel), translateMapped(c.Ports.IPv4)))
	if c.Ports.Whole() {
		return append(rules, concat(to(c.Tunnel), translateSource(c.Ports.IPv4)))
	}
	for _, p := range []struct {
		protocol uint8
		port     uint32 // offset in the transport header of what is translated
	}{
		{unix.IPPROTO_TCP, 0},
		{unix.IPPROTO_UDP, 0},
		{unix.IPPROTO_ICMP, 4}, // the identifier of queries
	} {
		match := concat(to(c.Tunnel), protocolIs(p.protocol))
		open := c.open().Sets
		for i, set := range open {
			pick := chooseSet(p.port, i, len(open))
			for _, within := range translateInto(c.Ports.IPv4, set, p.port) {
				rules = append(rules, concat(match, pick, within))
			}
		}
	}
	return rules
}

// verify drops what must not enter the softwire.
func verify(c Config) []rule {
	rules := []rule{
		concat(to(c.Tunnel), sourceIs(assign.WellKnown), destinationIs(assign.WellKnown), accept()),
	}
	nothingElse := concat(to(c.Tunnel), drop(counterDropped))
	if len(c.Ports.Sets) == 0 {
		return append(rules, nothingElse)
	}
	mine := concat(to(c.Tunnel), sourceIs(netip.PrefixFrom(c.Ports.IPv4, 32)))
	if c.Ports.Whole() {
		return append(rules, concat(mine, accept()), nothingElse)
	}
	for _, set := range c.Ports.Sets {
		rules = append(rules, verifySet(mine, set)...)
	}
	return append(rules, nothingElse)
}

// verifySet accepts what is from one port set.
func verifySet(mine rule, set portset.PortSet) (rules []rule) {
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		rules = append(rules, concat(mine, protocolIs(protocol), within(set, 0), accept()))
	}
	for _, queries := range icmpQueries {
		rules = append(rules, concat(mine, icmpTypes(queries), within(set, 4), accept()))
	}
	for _, errors := range icmpErrors {
		match := concat(mine, icmpTypes(errors))
		// What an error is about came to us, so our port is its destination.
		rules = append(rules,
			concat(match, about(unix.IPPROTO_TCP), within(set, embedded+2), accept()),
			concat(match, about(unix.IPPROTO_UDP), within(set, embedded+2), accept()),
			concat(match, about(unix.IPPROTO_ICMP), within(set, embedded+4), accept()),
		)
	}
	return rules
}
