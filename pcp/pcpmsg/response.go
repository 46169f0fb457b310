package pcpmsg

import (
	"encoding/binary"
	"fmt"
)

// Response is what a server answers or announces.
type Response struct {
	Opcode   Opcode
	Result   ResultCode
	Lifetime uint32 // of the mapping, or how long the error is expected to last, in seconds
	Epoch    uint32 // the server's, in seconds
	Body
}

// Append appends the response to b. Its options must be valid. An answer to a
// request that failed is made with AppendError instead.
func (r *Response) Append(b []byte) []byte {
	b = append(b, Version, byte(r.Opcode)|responseBit, 0, byte(r.Result))
	b = binary.BigEndian.AppendUint32(b, r.Lifetime)
	b = binary.BigEndian.AppendUint32(b, r.Epoch)
	b = append(b, make([]byte, 12)...)
	return r.append(r.Opcode, b)
}

// AppendError appends to b the answer to request, a UDP payload of at least 2
// octets, that failed with result. Lifetime and epoch are in seconds.
func AppendError(b, request []byte, result ResultCode, lifetime, epoch uint32) []byte {
	start := len(b)
	// RFC 6887 section 8.2: "Copying the entire UDP payload, or 1100 octets,
	// whichever is less, and zero-padding the response to a multiple of 4 octets".
	b = append(b, request[:min(len(request), MaxLength)]...)
	for len(b)-start < HeaderLength || (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	h := b[start:]
	h[0], h[1], h[2], h[3] = Version, h[1]|responseBit, 0, byte(result)
	binary.BigEndian.PutUint32(h[4:], lifetime)
	binary.BigEndian.PutUint32(h[8:], epoch)
	if result.parsed() {
		clear(h[12:HeaderLength])
	}
	return b
}

// parsed says whether a request that is answered so was understood. RFC 6887
// section 7.2: if not, the last 96 bits of the client's address, which are
// where the response has its reserved ones, are returned as they came.
func (c ResultCode) parsed() bool {
	return c != UnsuppVersion && c != MalformedRequest && c != MalformedOption
}

// VersionError reports that the server does not speak version 2.
type VersionError struct {
	Version  uint8  // the closest that it does speak; 0 is NAT-PMP (RFC 6886)
	Lifetime uint32 // how long it expects that to last, in seconds; 0 is unknown
}

// Error names the version.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the server speaks PCP version %d, not %d", e.Version, Version)
}

// ParseResponse reads a UDP payload that came from a server. Options are not
// validated: an error may return those that made it malformed. The error is a
// *VersionError for any response with the result UNSUPP_VERSION, of which only
// the beginning is certain, or wraps ErrDrop.
func ParseResponse(b []byte) (Response, error) {
	// RFC 6887 section 8.3: "less than 4 octets long, it is silently dropped. If
	// the R bit is clear, the message is silently dropped."
	if len(b) < 4 || b[1]&responseBit == 0 {
		return Response{}, errNoResponse
	}
	// RFC 6887 section 8.3 continues with version negotiation before it looks at
	// the length.
	if ResultCode(b[3]) == UnsuppVersion {
		e := &VersionError{Version: b[0]}
		if b[0] != 0 && len(b) >= 8 {
			e.Lifetime = binary.BigEndian.Uint32(b[4:])
		}
		return Response{}, e
	}
	if b[0] != Version {
		return Response{}, errOtherVersion
	}
	opcode := Opcode(b[1] &^ responseBit)
	// RFC 6887 section 8.3: "shorter than 24 octets, longer than 1100 octets, or
	// not a multiple of 4 octets are invalid and ignored."
	if len(b) < HeaderLength+opcode.bodyLength() || len(b) > MaxLength || len(b)%4 != 0 {
		return Response{}, errResponseLength
	}
	return Response{
		Opcode:   opcode,
		Result:   ResultCode(b[3]),
		Lifetime: binary.BigEndian.Uint32(b[4:]),
		Epoch:    binary.BigEndian.Uint32(b[8:]),
		Body:     parseBody(opcode, b[HeaderLength:]),
	}, nil
}

var (
	errNoResponse     = fmt.Errorf("no PCP response: %w", ErrDrop)
	errOtherVersion   = fmt.Errorf("a response of another PCP version: %w", ErrDrop)
	errResponseLength = fmt.Errorf("a response of a wrong length: %w", ErrDrop)
)
