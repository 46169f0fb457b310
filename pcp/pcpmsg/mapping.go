package pcpmsg

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
)

// Nonce is the 96-bit random value by which client and server know a mapping.
type Nonce [12]byte

// String is the nonce in hexadecimal.
func (n Nonce) String() string { return hex.EncodeToString(n[:]) }

// Mapping is what MAP and PEER carry (RFC 6887 sections 11.1 and 12.1). The
// external address and port are suggested in a request and assigned in a
// response.
type Mapping struct {
	Nonce        Nonce
	Protocol     uint8 // an IP protocol number; 0 is all
	InternalPort uint16
	ExternalPort uint16
	External     netip.Addr
}

// Lengths of what follows the header, in octets.
const (
	mapLength  = 36
	peerLength = 56
)

// Body is what requests and responses have in common: all that follows the
// header. Its opcode says which fields count.
type Body struct {
	Mapping Mapping        // of MAP and PEER
	Remote  netip.AddrPort // the remote peer, of PEER
	Options Options        // of ANNOUNCE, MAP and PEER
	Opaque  []byte         // everything, of any other opcode
}

// bodyLength is the least that follows the header.
func (o Opcode) bodyLength() int {
	switch o {
	case Map:
		return mapLength
	case Peer:
		return peerLength
	default:
		return 0
	}
}

// parseBody reads b, which has at least the length that opcode needs.
func parseBody(opcode Opcode, b []byte) (body Body) {
	switch opcode {
	case Announce:
	case Map, Peer:
		body.Mapping = Mapping{
			Nonce:        Nonce(b),
			Protocol:     b[12],
			InternalPort: binary.BigEndian.Uint16(b[16:]),
			ExternalPort: binary.BigEndian.Uint16(b[18:]),
			External:     parseAddr(b[20:]),
		}
		if opcode == Peer {
			body.Remote = netip.AddrPortFrom(parseAddr(b[40:]), binary.BigEndian.Uint16(b[36:]))
		}
	default:
		body.Opaque = b
		return body
	}
	body.Options = Options(b[opcode.bodyLength():])
	return body
}

func (body *Body) append(opcode Opcode, b []byte) []byte {
	switch opcode {
	case Announce:
	case Map, Peer:
		m := &body.Mapping
		b = append(b, m.Nonce[:]...)
		b = append(b, m.Protocol, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, m.InternalPort)
		b = binary.BigEndian.AppendUint16(b, m.ExternalPort)
		b = appendAddr(b, m.External)
		if opcode == Peer {
			b = binary.BigEndian.AppendUint16(b, body.Remote.Port())
			b = append(b, 0, 0)
			b = appendAddr(b, body.Remote.Addr())
		}
	default:
		return append(b, body.Opaque...)
	}
	for o := range body.Options.All() {
		b = o.append(b)
	}
	return b
}

// parseAddr reads the 16 octets of an address. RFC 6887 section 5: an address is
// IPv4 if all of the first 96 bits are those of the IPv4-mapped prefix, which is
// what Unmap looks at.
func parseAddr(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)).Unmap() }

// appendAddr writes an address; an unset one is written as the unspecified IPv6
// address.
func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	sixteen := a.As16()
	return append(b, sixteen[:]...)
}
