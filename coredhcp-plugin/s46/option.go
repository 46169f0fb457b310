package s46

import (
	"errors"
	"fmt"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// The errors of Parse, FromBytes, Validate and Add, each wrapped with the option
// and the field.
var (
	// ErrCode is about an option that this package does not have, or that may
	// not stand where it stands.
	ErrCode = errors.New("option not permitted here")
	// ErrLength is about an option whose length does not fit its content.
	ErrLength = errors.New("wrong length")
	// ErrValue is about a field that is out of range.
	ErrValue = errors.New("value out of range")
	// ErrCount is about options or values of which there are too few or too many.
	ErrCount = errors.New("wrong number")
)

// MaxEntries bounds how many addresses, rules or codes an option has, so that
// every option fits its 16-bit length.
const MaxEntries = 1000

// Option is an option of this package.
type Option interface {
	dhcpv6.Option
	// Validate reports which rule of the option's RFC it breaks. The error wraps
	// one of those above. ToBytes returns nil for an option that breaks one.
	Validate() error
}

// blank returns an empty option to read into, nil for one that may not stand in a
// message. RFC 7598 section 3 has provisioning options outside of containers be
// ignored; RFC 8539 section 4.1 allows one of them, the BR.
func blank(code dhcpv6.OptionCode) Option {
	switch code {
	case dhcpv6.OptionAFTRName:
		return new(AFTRName)
	case dhcpv6.OptionV6PCPServer:
		return new(PCPServer)
	case dhcpv6.OptionDHCP4oDHCP6Server:
		return new(DHCP4o6Servers)
	case dhcpv6.OptionS46BR:
		return new(BR)
	case dhcpv6.OptionS46ContMapE:
		return new(MAPE)
	case dhcpv6.OptionS46ContMapT:
		return new(MAPT)
	case dhcpv6.OptionS46ContLW:
		return new(LW)
	case dhcpv6.OptionS46Priority:
		return new(Priority)
	}
	return nil
}

// Parse reads the data of an option of a message. The error wraps one of those
// above.
func Parse(code dhcpv6.OptionCode, data []byte) (Option, error) {
	o := blank(code)
	if o == nil {
		return nil, fmt.Errorf("%s: %w", code, ErrCode)
	}
	if err := o.FromBytes(data); err != nil {
		return nil, fmt.Errorf("%s: %w", code, err)
	}
	return o, nil
}

// Add adds an option to a message. The error wraps one of those above; then the
// message is as it was.
func Add(to dhcpv6.DHCPv6, o Option) error {
	if blank(o.Code()) == nil {
		return fmt.Errorf("%s: %w", o.Code(), ErrCode)
	}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("%s: %w", o.Code(), err)
	}
	to.AddOption(o)
	return nil
}
