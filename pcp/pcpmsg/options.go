package pcpmsg

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// OptionCode says what an option is.
type OptionCode uint8

// The options that this package reads.
const (
	CodeThirdParty    OptionCode = 1   // RFC 6887 section 13.1
	CodePreferFailure OptionCode = 2   // RFC 6887 section 13.2
	CodeFilter        OptionCode = 3   // RFC 6887 section 13.3
	CodeThirdPartyID  OptionCode = 13  // RFC 7843
	CodeDescription   OptionCode = 128 // RFC 7220
	CodePortSet       OptionCode = 130 // RFC 7753
)

// Mandatory says whether a server that does not process the option must refuse
// the request (RFC 6887 section 7.3).
func (c OptionCode) Mandatory() bool { return c < 128 }

// String is the option's name in its RFC, or its number.
func (c OptionCode) String() string {
	switch c {
	case CodeThirdParty:
		return "THIRD_PARTY"
	case CodePreferFailure:
		return "PREFER_FAILURE"
	case CodeFilter:
		return "FILTER"
	case CodeThirdPartyID:
		return "THIRD_PARTY_ID"
	case CodeDescription:
		return "DESCRIPTION"
	case CodePortSet:
		return "PORT_SET"
	}
	return fmt.Sprintf("option %d", uint8(c))
}

// Option is any option, known or not.
type Option struct {
	Code OptionCode
	Data []byte // without padding, at most 65,535 octets
}

// optionHeaderLength is code, reserved octet and length.
const optionHeaderLength = 4

func (o Option) append(b []byte) []byte {
	b = append(b, byte(o.Code), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(o.Data)))
	b = append(b, o.Data...)
	for range padding(len(o.Data)) {
		b = append(b, 0)
	}
	return b
}

// padding is how many zero octets follow data of n octets (RFC 6887 section 7.3).
func padding(n int) int { return -n & 3 }

// Options are the options of a message, as they are on the wire, in order. The
// zero value is none.
type Options []byte

// Append returns the options with one more behind them.
func (o Options) Append(option Option) Options { return option.append(o) }

// Validate finds what is wrong with the structure of the options of a request,
// whatever they are. The error is a *Fault with MALFORMED_OPTION.
func (o Options) Validate() error {
	for len(o) > 0 {
		var ok bool
		if _, o, ok = o.cut(); !ok {
			return errOverrun
		}
	}
	return nil
}

// All yields the options in order, which is the one to process them in, and
// ends before the first that is not valid.
func (o Options) All() iter.Seq[Option] {
	return func(yield func(Option) bool) {
		for len(o) > 0 {
			first, rest, ok := o.cut()
			if !ok || !yield(first) {
				return
			}
			o = rest
		}
	}
}

// Find returns the first option with that code.
func (o Options) Find(code OptionCode) (Option, bool) {
	for option := range o.All() {
		if option.Code == code {
			return option, true
		}
	}
	return Option{}, false
}

// cut takes the first option off. It is not ok if there is none, or if it is
// longer than what there is.
func (o Options) cut() (first Option, rest Options, ok bool) {
	if len(o) < optionHeaderLength {
		return Option{}, nil, false
	}
	length := int(binary.BigEndian.Uint16(o[2:]))
	end := optionHeaderLength + length + padding(length)
	if end > len(o) {
		return Option{}, nil, false
	}
	data := o[optionHeaderLength : optionHeaderLength+length]
	return Option{Code: OptionCode(o[0]), Data: data}, o[end:], true
}
