package reference

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"
)

// Protocols with ports that the library has no name for.
const (
	protocolDCCP = layers.IPProtocol(33) // RFC 4340
)

// hasPorts reports whether a protocol has ports, and is one that is shared by
// them: a choice.
func hasPorts(protocol layers.IPProtocol) bool {
	switch protocol {
	case layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolSCTP, layers.IPProtocolUDPLite, protocolDCCP:
		return true
	}
	return false
}

// ports returns the source and destination port of a transport header: all
// these protocols begin with them.
func ports(protocol layers.IPProtocol, transport []byte) (src, dst uint16, ok bool) {
	if !hasPorts(protocol) || len(transport) < 4 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(transport), binary.BigEndian.Uint16(transport[2:]), true
}

// tooShort reports whether a packet is too short for its protocol: all that can
// be told apart by a port have at least eight octets.
func tooShort(protocol layers.IPProtocol, transport []byte) bool {
	return len(transport) < 8 && (hasPorts(protocol) || protocol == layers.IPProtocolICMPv4)
}

// ICMPv4 types.
const (
	echoReply        = layers.ICMPv4TypeEchoReply
	unreachable      = layers.ICMPv4TypeDestinationUnreachable
	sourceQuench     = layers.ICMPv4TypeSourceQuench
	redirect         = layers.ICMPv4TypeRedirect
	echoRequest      = layers.ICMPv4TypeEchoRequest
	timeExceeded     = layers.ICMPv4TypeTimeExceeded
	parameterProblem = layers.ICMPv4TypeParameterProblem
)

// icmpHeaderLen is that of ICMPv4 and ICMPv6 messages.
const icmpHeaderLen = 8

// icmpError reports whether an ICMPv4 type is that of an error message (RFC
// 1122 section 3.2.2).
func icmpError(t uint8) bool {
	switch t {
	case unreachable, sourceQuench, redirect, timeExceeded, parameterProblem:
		return true
	}
	return false
}

// icmpQuery reports whether an ICMPv4 type is that of a query or its answer
// (RFC 1122 section 3.2.2, RFC 950).
func icmpQuery(t uint8) bool {
	return t == echoRequest || t == echoReply || t >= layers.ICMPv4TypeTimestampRequest && t <= layers.ICMPv4TypeAddressMaskReply
}

// echo returns the identifier of an echo message.
func echo(icmp []byte) (id uint16, ok bool) {
	if len(icmp) < icmpHeaderLen || icmp[0] != echoRequest && icmp[0] != echoReply {
		return 0, false
	}
	return binary.BigEndian.Uint16(icmp[4:]), true
}

// icmpReceiver returns the port by which the receiver of an ICMPv4 message is
// found (RFC 7596 section 8.1): the identifier of an echo message, or the
// source port of the packet that an error is about, because the receiver sent
// that.
func icmpReceiver(d *datagram) (uint16, bool) {
	if id, ok := echo(d.Payload); ok {
		return id, true
	}
	q := quoted(d)
	if q == nil || q.src() != d.dst() {
		return 0, false
	}
	src, _, ok := q.flow()
	return src, ok
}

// icmpSender returns the port by which the sender of an ICMPv4 message is
// found: the identifier of an echo message, or the destination port of the
// packet that an error is about, because the sender received that.
func icmpSender(d *datagram) (uint16, bool) {
	if id, ok := echo(d.Payload); ok {
		return id, true
	}
	q := quoted(d)
	if q == nil || q.dst() != d.src() {
		return 0, false
	}
	_, dst, ok := q.flow()
	return dst, ok
}

// quotation is the beginning of a packet, as an ICMP error has it.
type quotation struct {
	header    []byte
	transport []byte
}

func (q *quotation) src() netip.Addr { return netip.AddrFrom4([4]byte(q.header[12:])) }
func (q *quotation) dst() netip.Addr { return netip.AddrFrom4([4]byte(q.header[16:])) }

// first reports whether the packet was whole or the first fragment of one.
func (q *quotation) first() bool { return binary.BigEndian.Uint16(q.header[6:])&0x1fff == 0 }

// flow returns both ports of the quoted packet; for an echo message both are
// its identifier.
func (q *quotation) flow() (src, dst uint16, ok bool) {
	// RFC 792: an error quotes at least eight octets behind the header.
	if !q.first() || len(q.transport) < 8 {
		return 0, 0, false
	}
	protocol := layers.IPProtocol(q.header[9])
	if protocol == layers.IPProtocolICMPv4 {
		id, ok := echo(q.transport)
		return id, id, ok
	}
	return ports(protocol, q.transport)
}

// quoted returns what an ICMPv4 error is about, or nil if d is no error or the
// quotation is of no use.
func quoted(d *datagram) *quotation {
	if len(d.Payload) < icmpHeaderLen || !icmpError(d.Payload[0]) {
		return nil
	}
	q := quotation4(d.Payload[icmpHeaderLen:])
	// RFC 5508 REQ-3 a: the checksum of the quoted header.
	if q == nil || !sound(q.header) {
		return nil
	}
	return q
}

// quotation4 takes the IPv4 header off a quotation (RFC 5508 REQ-3 b: with its
// options), or returns nil.
func quotation4(b []byte) *quotation {
	if len(b) < ipv4HeaderLen || b[0]>>4 != 4 {
		return nil
	}
	header := int(b[0]&15) * 4
	if header < ipv4HeaderLen || header > len(b) {
		return nil
	}
	return &quotation{b[:header], b[header:]}
}
