package nat

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// immediate sets a register.
func immediate(register uint32, value []byte) expr.Any {
	return &expr.Immediate{Register: register, Data: value}
}

// translateSource translates the address and leaves ports alone where it can.
func translateSource(to netip.Addr) []expr.Any {
	return []expr.Any{
		immediate(regAddress, to.AsSlice()),
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: regAddress},
	}
}

// chooseSet lets a part of the flows pass: a flow goes by its source to the same
// one of several port sets, to all destinations (RFC 4787 REQ-1). The last set
// takes what is left.
func chooseSet(port uint32, index, of int) []expr.Any {
	if index == of-1 {
		return nil
	}
	return concat(hashOfSource(port, seedOfSets, uint32(of)), []expr.Any{
		&expr.Cmp{Op: expr.CmpOpEq, Register: regHash, Data: binary.NativeEndian.AppendUint32(nil, uint32(index))},
	})
}

// hashTries bounds the rules that look for a range by hashing.
const hashTries = 4

// translateInto returns the ends of rules of which the first that applies
// translates a flow to the address and one range of the port set. The kernel
// then looks for a free port in that range. port is where in the transport
// header the flow's own one is.
//
// With a psid-offset of 0 or 1 the set is one range. Otherwise the range's A
// is hashed from the flow's source, so that one source keeps its range, and so
// its port, to all destinations (RFC 4787 REQ-1). nftables can mask and XOR
// but not add or multiply, so A is taken from bits of the hash, and a hash
// whose bits are all zero, which no range has, is left to the next rule.
func translateInto(to netip.Addr, s portset.PortSet, port uint32) []rule {
	p := s.Params()
	a, m := p.Offset(), 16-p.Offset()-p.Length()
	psid := s.PSID() << m
	within := uint16(1<<m - 1)
	fixed := func(low uint16) rule {
		return concat(
			[]expr.Any{immediate(regLow, be16(low)), immediate(regHigh, be16(low|within))},
			translatePorts(to),
		)
	}
	if a == 0 {
		return []rule{fixed(psid)}
	}
	// The lowest range, A = 1, also takes what no hash decides.
	last := fixed(1<<(16-a) | psid)
	if a == 1 {
		return []rule{last}
	}
	all := be16(0xffff)
	var rules []rule
	for seed := range uint32(hashTries) {
		rules = append(rules, concat(
			hashOfSource(port, seed+1, 1<<32-1),
			mask(regHash, regHash, be16(^uint16(0)<<(16-a)), be16(0)),
			[]expr.Any{&expr.Cmp{Op: expr.CmpOpNeq, Register: regHash, Data: be16(0)}},
			mask(regLow, regHash, all, be16(psid)),
			mask(regHigh, regHash, all, be16(psid|within)),
			translatePorts(to),
		))
	}
	return append(rules, last)
}

// seedOfSets is none of those by which a range is chosen within a set.
const seedOfSets = 1000

// hashOfSource sets regHash to a number below modulus that depends on source
// address and port.
func hashOfSource(port, seed, modulus uint32) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: regSource, Base: expr.PayloadBaseNetworkHeader, Offset: offsetSource, Len: 4},
		&expr.Payload{DestRegister: regSource + 1, Base: expr.PayloadBaseTransportHeader, Offset: port, Len: 2},
		&expr.Hash{
			SourceRegister: regSource, DestRegister: regHash, Length: 8,
			Modulus: modulus, Seed: seed, Type: expr.HashTypeJenkins,
		},
	}
}

// translatePorts translates to an address and the ports regLow to regHigh.
func translatePorts(to netip.Addr) []expr.Any {
	return []expr.Any{
		immediate(regAddress, to.AsSlice()),
		&expr.NAT{
			Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4,
			RegAddrMin: regAddress, RegProtoMin: regLow, RegProtoMax: regHigh,
		},
	}
}

// Offsets in the TCP header and in its MSS option, in octets.
const (
	offsetFlags = 13
	offsetMSS   = 2
)

// TCP flags and options.
const (
	flagSYN   = 0x02
	flagRST   = 0x04
	optionMSS = 2
)

// clampMSS lowers what a TCP handshake offers. The kernel writes an MSS only
// where it is lower than the one that is there.
func clampMSS(mss uint16) []expr.Any {
	return concat(
		protocolIs(unix.IPPROTO_TCP),
		loadTransport(offsetFlags, 1),
		mask(regMatch, regMatch, []byte{flagSYN | flagRST}, []byte{0}),
		equal([]byte{flagSYN}),
		[]expr.Any{
			immediate(regLow, be16(mss)),
			&expr.Exthdr{SourceRegister: regLow, Op: expr.ExthdrOpTcpopt, Type: optionMSS, Offset: offsetMSS, Len: 2},
		},
	)
}
