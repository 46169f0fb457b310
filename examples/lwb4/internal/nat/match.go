package nat

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Registers are 32 bits wide, and one load may fill several. The numbers are
// those of NFT_REG32_00 and on in linux/netfilter/nf_tables.h.
const (
	regMatch   = unix.NFT_REG32_00 + iota // what the next comparison reads, up to 4 registers
	_                                     //
	_                                     //
	_                                     //
	regAddress                            // the address to translate to
	regLow                                // the lowest port to translate to
	regHigh                               // the highest
	regSource                             // source address and port of a flow, 2 registers
	_                                     //
	regHash                               // hash of them
)

// statusDNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
const statusDNAT = 1 << 5

// Offsets of IPv4 header fields in octets.
const (
	offsetSource      = 12
	offsetDestination = 16
)

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func equal(want []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: regMatch, Data: want}}
}

// from matches the interface a packet came in by.
func from(iface string) []expr.Any { return interfaceIs(expr.MetaKeyIIFNAME, iface) }

// to matches the interface a packet leaves by.
func to(iface string) []expr.Any { return interfaceIs(expr.MetaKeyOIFNAME, iface) }

func interfaceIs(key expr.MetaKey, name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return concat([]expr.Any{&expr.Meta{Key: key, Register: regMatch}}, equal(padded))
}

func protocolIs(protocol uint8) []expr.Any {
	return concat([]expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regMatch}}, equal([]byte{protocol}))
}

func sourceIs(p netip.Prefix) []expr.Any      { return addressIs(offsetSource, p) }
func destinationIs(p netip.Prefix) []expr.Any { return addressIs(offsetDestination, p) }

func addressIs(offset uint32, p netip.Prefix) []expr.Any {
	return concat(
		[]expr.Any{&expr.Payload{
			DestRegister: regMatch, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4,
		}},
		mask(regMatch, regMatch, net.CIDRMask(p.Bits(), 32), make([]byte, 4)),
		equal(p.Masked().Addr().AsSlice()),
	)
}

// mask sets a register to (source AND and) XOR xor.
func mask(to, from uint32, and, xor []byte) []expr.Any {
	return []expr.Any{&expr.Bitwise{SourceRegister: from, DestRegister: to, Len: uint32(len(and)), Mask: and, Xor: xor}}
}

// loadTransport reads octets behind the IPv4 header.
func loadTransport(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{
		DestRegister: regMatch, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length,
	}}
}

// stateIs matches any of some conntrack states.
func stateIs(states uint32) []expr.Any { return anyBit(expr.CtKeySTATE, states) }

// statusIs matches any of some conntrack status bits.
func statusIs(status uint32) []expr.Any { return anyBit(expr.CtKeySTATUS, status) }

func anyBit(key expr.CtKey, want uint32) []expr.Any {
	return concat(
		[]expr.Any{&expr.Ct{Key: key, Register: regMatch}},
		mask(regMatch, regMatch, binary.NativeEndian.AppendUint32(nil, want), make([]byte, 4)),
		[]expr.Any{&expr.Cmp{Op: expr.CmpOpNeq, Register: regMatch, Data: make([]byte, 4)}},
	)
}

// within matches a port at an offset behind the IPv4 header that is in the
// set, by the definition of RFC 7597 section 5.1.
func within(s portset.PortSet, offset uint32) []expr.Any {
	p := s.Params()
	m := 16 - p.Offset() - p.Length()
	rule := loadTransport(offset, 2)
	if a := p.Offset(); a > 0 {
		// A must be larger than 0.
		rule = append(rule, &expr.Cmp{Op: expr.CmpOpGte, Register: regMatch, Data: be16(1 << (16 - a))})
	}
	psid := uint16(1<<p.Length()-1) << m
	return concat(rule, mask(regMatch, regMatch, be16(psid), be16(0)), equal(be16(s.PSID()<<m)))
}

// typeRange is ICMP types that follow one another.
type typeRange struct{ first, last uint8 }

var (
	// icmpQueries have an identifier (RFC 5508 section 3.1): echo and timestamp,
	// requests and replies.
	icmpQueries = []typeRange{{0, 0}, {8, 8}, {13, 14}}
	// icmpErrors embed the packet that they are about: unreachable, time
	// exceeded and parameter problem.
	icmpErrors = []typeRange{{3, 3}, {11, 12}}
)

func icmpTypes(r typeRange) []expr.Any {
	return concat(protocolIs(unix.IPPROTO_ICMP), loadTransport(0, 1), []expr.Any{
		&expr.Cmp{Op: expr.CmpOpGte, Register: regMatch, Data: []byte{r.first}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: regMatch, Data: []byte{r.last}},
	})
}

// embedded is the offset of the transport header within an ICMP error whose
// embedded IPv4 header has no options.
const embedded = 8 + 20

// about matches an ICMP error's embedded packet by its protocol. One with IPv4
// options does not match; nobody misses such errors.
func about(protocol uint8) []expr.Any {
	return concat(
		loadTransport(8, 1), equal([]byte{0x45}),
		loadTransport(8+9, 1), equal([]byte{protocol}),
	)
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop(counter string) []expr.Any {
	return concat(count(counter), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})
}
