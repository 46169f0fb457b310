package pcpmsg

import (
	"encoding/binary"
	"net/netip"
)

// responseBit marks a response, in the octet that holds the opcode.
const responseBit = 0x80

// Request is what a client asks.
type Request struct {
	Opcode   Opcode
	Lifetime uint32     // requested, in seconds; 0 deletes
	Client   netip.Addr // the address that the client sends from, as it sees it
	Body
}

// ParseRequest reads a UDP payload as far as RFC 6887 section 8.2 looks at it
// before it compares the client's address: Options are not validated yet. The
// error is a *Fault or wraps ErrDrop. Between UNSUPP_VERSION and the other
// faults, section 8.2 lets a server that is overloaded drop the request.
func ParseRequest(b []byte) (Request, error) {
	// RFC 6887 section 8.2: "less than 2 octets long, it is silently dropped."
	if len(b) < 2 {
		return Request{}, errShort
	}
	// RFC 6887 section 8.2: "If the R bit is set, the message is silently dropped."
	if b[1]&responseBit != 0 {
		return Request{}, errResponse
	}
	// RFC 6887 sections 8.2 and 9, before any other length is looked at: a request
	// of NAT-PMP may have 2 octets.
	switch b[0] {
	case Version:
	case 0:
		return Request{}, errNATPMP
	default:
		return Request{}, errVersion
	}
	// RFC 6887 section 8.2: "if the version is supported but the received message
	// is shorter than 24 octets, the message is silently dropped."
	if len(b) < HeaderLength {
		return Request{}, errHeader
	}
	opcode := Opcode(b[1])
	// RFC 6887 section 8.2: "exceeds 1100 octets, is not a multiple of 4 octets,
	// or is too short for the Opcode in question".
	switch {
	case len(b) > MaxLength:
		return Request{}, errTooLong
	case len(b)%4 != 0:
		return Request{}, errUneven
	case len(b) < HeaderLength+opcode.bodyLength():
		return Request{}, errOpcodeShort
	}
	return Request{
		Opcode:   opcode,
		Lifetime: binary.BigEndian.Uint32(b[4:]),
		Client:   parseAddr(b[8:]),
		Body:     parseBody(opcode, b[HeaderLength:]),
	}, nil
}

// Append appends the request to b. Its options must be valid.
func (r *Request) Append(b []byte) []byte {
	b = append(b, Version, byte(r.Opcode)&^responseBit, 0, 0)
	b = binary.BigEndian.AppendUint32(b, r.Lifetime)
	b = appendAddr(b, r.Client)
	return r.append(r.Opcode, b)
}
