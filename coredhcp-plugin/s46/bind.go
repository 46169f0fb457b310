package s46

import (
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// V4V6Bind is OPTION_S46_V4V6BIND (92, RFC 7598 section 4.4), inside of LW.
type V4V6Bind struct {
	IPv4 netip.Addr
	// Prefix tells the lwB4 from which of its prefixes to make its tunnel address.
	Prefix netip.Prefix
	// PortParams is nil for a whole address. Some CPEs need it even then.
	PortParams *PortParams
}

var _ Option = (*V4V6Bind)(nil)

// PortSet is the ports of IPv4. The error wraps ErrValue.
func (o *V4V6Bind) PortSet() (portset.PortSet, error) {
	if o.PortParams == nil {
		return portset.PortSet{}, nil
	}
	return o.PortParams.PortSet()
}

// Code is 92.
func (o *V4V6Bind) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46V4V6Bind }

// Validate implements Option.
func (o *V4V6Bind) Validate() error {
	if !o.IPv4.Is4() {
		return fmt.Errorf("%s is not an IPv4 address: %w", o.IPv4, ErrValue)
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return err
	}
	if o.PortParams == nil {
		return nil
	}
	return o.PortParams.Validate()
}

// ToBytes implements dhcpv6.Option.
func (o *V4V6Bind) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	b := appendPrefix(o.IPv4.AsSlice(), o.Prefix)
	return appendPortParams(b, o.PortParams)
}

// FromBytes implements dhcpv6.Option.
func (o *V4V6Bind) FromBytes(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("%d octets: %w", len(b), ErrLength)
	}
	bind := V4V6Bind{IPv4: netip.AddrFrom4([4]byte(b))}
	prefix, rest, err := readPrefix(b[4:])
	if err != nil {
		return err
	}
	bind.Prefix = prefix
	if bind.PortParams, err = readPortParams(rest); err != nil {
		return err
	}
	*o = bind
	return nil
}

// String is like "192.0.2.3 2001:db8::/56 offset 0 PSID 5/6".
func (o *V4V6Bind) String() string {
	text := fmt.Sprintf("%s %s", o.IPv4, o.Prefix)
	if o.PortParams != nil {
		text += " " + o.PortParams.String()
	}
	return text
}
