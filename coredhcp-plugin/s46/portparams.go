package s46

import (
	"encoding/binary"
	"fmt"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// PortParams is OPTION_S46_PORTPARAMS (93, RFC 7598 section 4.5), inside of
// V4V6Bind or Rule.
type PortParams struct {
	Offset uint8  // a bits, 0 to 15
	Length uint8  // of the PSID, k bits; Offset plus Length is at most 16
	PSID   uint16 // right-justified; 0 if Length is 0
}

var _ Option = (*PortParams)(nil)

const portParamsLength = 4

// PortSet is the set of ports. The error wraps ErrValue.
func (o *PortParams) PortSet() (portset.PortSet, error) {
	s, err := portset.Of(o.Offset, o.Length, o.PSID)
	if err != nil {
		return portset.PortSet{}, fmt.Errorf("port set: %w: %w", ErrValue, err)
	}
	return s, nil
}

// Code is 93.
func (o *PortParams) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46PortParams }

// Validate implements Option.
func (o *PortParams) Validate() error {
	if o.Offset > 15 {
		return fmt.Errorf("offset %d: %w", o.Offset, ErrValue)
	}
	// "When set to 0, the PSID field is to be ignored": there is one way to say so.
	if o.Length == 0 && o.PSID != 0 {
		return fmt.Errorf("PSID %d of no bits: %w", o.PSID, ErrValue)
	}
	_, err := o.PortSet()
	return err
}

// ToBytes implements dhcpv6.Option. "The first k bits on the left of this field
// contain the PSID binary value."
func (o *PortParams) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	return binary.BigEndian.AppendUint16([]byte{o.Offset, o.Length}, o.PSID<<(16-o.Length))
}

// FromBytes implements dhcpv6.Option. Padding that is not zero is refused: it
// most likely is a PSID that was not left-justified.
func (o *PortParams) FromBytes(b []byte) error {
	if len(b) != portParamsLength {
		return fmt.Errorf("%d octets instead of %d: %w", len(b), portParamsLength, ErrLength)
	}
	p, wire := PortParams{Offset: b[0], Length: b[1]}, binary.BigEndian.Uint16(b[2:])
	if p.Length > 16 {
		return fmt.Errorf("PSID of %d bits: %w", p.Length, ErrValue)
	}
	if p.Length > 0 {
		p.PSID = wire >> (16 - p.Length)
		if p.PSID<<(16-p.Length) != wire {
			return fmt.Errorf("PSID %#04x has more than %d bits: %w", wire, p.Length, ErrValue)
		}
	}
	if err := p.Validate(); err != nil {
		return err
	}
	*o = p
	return nil
}

// String is like "offset 0 PSID 5/6".
func (o *PortParams) String() string {
	return fmt.Sprintf("offset %d PSID %d/%d", o.Offset, o.PSID, o.Length)
}

// readPortParams reads the only option that may be inside of V4V6Bind and Rule,
// at most once.
func readPortParams(data []byte) (p *PortParams, err error) {
	err = readNested(data, func(code dhcpv6.OptionCode, data []byte) error {
		if code != dhcpv6.OptionS46PortParams {
			return ErrCode
		}
		if p != nil {
			return fmt.Errorf("a second one: %w", ErrCount)
		}
		p = new(PortParams)
		return p.FromBytes(data)
	})
	return p, err
}

// appendPortParams appends p as a nested option, if there is one.
func appendPortParams(b []byte, p *PortParams) []byte {
	if p == nil {
		return b
	}
	return append(b, dhcpv6.Options{p}.ToBytes()...)
}
