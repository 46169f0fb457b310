package s46

import (
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// BR is OPTION_S46_BR (90, RFC 7598 section 4.2), inside of LW and MAPE, or in a
// message (RFC 8539 section 4.1).
type BR struct{ Address netip.Addr }

// DMR is OPTION_S46_DMR (91, RFC 7598 section 4.3), inside of MAPT.
type DMR struct{ Prefix netip.Prefix }

var (
	_ Option = (*BR)(nil)
	_ Option = (*DMR)(nil)
)

// Code is 90.
func (o *BR) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46BR }

// Validate implements Option.
func (o *BR) Validate() error { return checkServer(o.Address) }

// ToBytes implements dhcpv6.Option.
func (o *BR) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	return o.Address.AsSlice()
}

// FromBytes implements dhcpv6.Option.
func (o *BR) FromBytes(b []byte) error {
	if len(b) != 16 {
		return fmt.Errorf("%d octets instead of 16: %w", len(b), ErrLength)
	}
	br := BR{netip.AddrFrom16([16]byte(b))}
	if err := br.Validate(); err != nil {
		return err
	}
	*o = br
	return nil
}

// String is like "BR 2001:db8::1".
func (o *BR) String() string { return "BR " + o.Address.String() }

// Code is 91.
func (o *DMR) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46DMR }

// Validate implements Option.
func (o *DMR) Validate() error { return checkPrefix(o.Prefix) }

// ToBytes implements dhcpv6.Option.
func (o *DMR) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	return appendPrefix(nil, o.Prefix)
}

// FromBytes implements dhcpv6.Option.
func (o *DMR) FromBytes(b []byte) error {
	p, rest, err := readPrefix(b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d octets after the prefix: %w", len(rest), ErrLength)
	}
	*o = DMR{p}
	return nil
}

// String is like "DMR 2001:db8:ffff::/64".
func (o *DMR) String() string { return "DMR " + o.Prefix.String() }
