package pcpmsg

import (
	"errors"
	"fmt"
)

// ErrDrop is wrapped by the error of a message that is to be dropped without an
// answer.
var ErrDrop = errors.New("dropped without an answer")

// Fault is what is wrong with a request that is answered.
type Fault struct {
	Result ResultCode // that the RFC answers it with
	Reason string     // for logs
}

// Error is the result code and the reason.
func (f *Fault) Error() string { return f.Result.String() + ": " + f.Reason }

// The errors of ParseRequest, Options and the parsers of options. They are made
// once, since a flood of malformed requests must not cost an allocation each.
var (
	errShort    = fmt.Errorf("message of less than 2 octets: %w", ErrDrop)
	errResponse = fmt.Errorf("a response instead of a request: %w", ErrDrop)
	errHeader   = fmt.Errorf("message shorter than a PCP header: %w", ErrDrop)

	errNATPMP      = &Fault{UnsuppVersion, "version 0, which is NAT-PMP"}
	errVersion     = &Fault{UnsuppVersion, "a version other than 2"}
	errTooLong     = &Fault{MalformedRequest, "longer than 1100 octets"}
	errUneven      = &Fault{MalformedRequest, "length is not a multiple of 4 octets"}
	errOpcodeShort = &Fault{MalformedRequest, "too short for its opcode"}

	errOverrun           = &Fault{MalformedOption, "an option is longer than the message"}
	errThirdPartyLength  = &Fault{MalformedOption, "length of THIRD_PARTY is not 16"}
	errPreferFailLength  = &Fault{MalformedOption, "length of PREFER_FAILURE is not 0"}
	errFilterLength      = &Fault{MalformedOption, "length of FILTER is not 20"}
	errFilterPrefix      = &Fault{MalformedOption, "prefix length of FILTER does not fit its address"}
	errPortSetLength     = &Fault{MalformedOption, "length of PORT_SET is not 5"}
	errThirdPartyIDWidth = &Fault{UnsuppThirdPartyIDLength, "THIRD_PARTY_ID is longer than 1016 octets"}
)

// IsNATPMP reports whether err, of ParseRequest, is about a request of NAT-PMP
// (RFC 6886), PCP's predecessor.
func IsNATPMP(err error) bool { return errors.Is(err, errNATPMP) }
