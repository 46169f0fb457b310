package s46

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Priority is OPTION_S46_PRIORITY (111, RFC 8026): which mechanism a client is to
// prefer of those that it is told. A message has at most one.
type Priority struct {
	// Codes are those of the options that stand for the mechanisms, best first.
	Codes []dhcpv6.OptionCode
}

var _ Option = (*Priority)(nil)

// Code is 111.
func (o *Priority) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46Priority }

// Validate implements Option. RFC 8026 section 1.4 has clients skip codes that
// they do not know, and section 1.3 calls a repeated one invalid.
func (o *Priority) Validate() error {
	if err := checkCount("codes", len(o.Codes), 1); err != nil {
		return err
	}
	sorted := slices.Sorted(slices.Values(o.Codes))
	if len(slices.Compact(sorted)) < len(o.Codes) {
		return fmt.Errorf("a code twice in %s: %w", o.Codes, ErrValue)
	}
	return nil
}

// ToBytes implements dhcpv6.Option.
func (o *Priority) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	var b []byte
	for _, code := range o.Codes {
		b = binary.BigEndian.AppendUint16(b, uint16(code))
	}
	return b
}

// FromBytes implements dhcpv6.Option.
func (o *Priority) FromBytes(b []byte) error {
	if len(b)%2 != 0 {
		return fmt.Errorf("%d octets are not codes of 2: %w", len(b), ErrLength)
	}
	var p Priority
	for ; len(b) > 0; b = b[2:] {
		p.Codes = append(p.Codes, dhcpv6.OptionCode(binary.BigEndian.Uint16(b)))
	}
	if err := p.Validate(); err != nil {
		return err
	}
	*o = p
	return nil
}

// String is the name of the option and the mechanisms.
func (o *Priority) String() string { return fmt.Sprintf("%s: %s", o.Code(), o.Codes) }
