package s46

import (
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Rule is OPTION_S46_RULE (89, RFC 7598 section 4.1), inside of MAPE and MAPT.
type Rule struct {
	Forwarding bool  // the F flag
	EALength   uint8 // embedded address bits, 0 to 48
	IPv4       netip.Prefix
	IPv6       netip.Prefix
	PortParams *PortParams // nil if there are none
}

var _ Option = (*Rule)(nil)

const (
	ruleFixedLength = 7 // up to the IPv6 prefix
	flagForwarding  = 0x01
	maxEALength     = 48
)

// Code is 89.
func (o *Rule) Code() dhcpv6.OptionCode { return dhcpv6.OptionS46Rule }

// Validate implements Option.
func (o *Rule) Validate() error {
	if o.EALength > maxEALength {
		return fmt.Errorf("ea-len %d: %w", o.EALength, ErrValue)
	}
	if !o.IPv4.IsValid() || !o.IPv4.Addr().Is4() {
		return fmt.Errorf("%s is not an IPv4 prefix: %w", o.IPv4, ErrValue)
	}
	if err := checkPrefix(o.IPv6); err != nil {
		return err
	}
	if o.PortParams == nil {
		return nil
	}
	if o.PortParams.Length > 0 && !o.fullAddress() {
		return fmt.Errorf("a PSID, but %d+%d bits of an IPv4 address: %w", o.IPv4.Bits(), o.EALength, ErrValue)
	}
	return o.PortParams.Validate()
}

// fullAddress says whether a CE of this rule has a full IPv4 address: the rule's
// prefix and the embedded bits make one (RFC 7597 section 5.2).
func (o *Rule) fullAddress() bool { return o.IPv4.Bits()+int(o.EALength) >= 32 }

// ToBytes implements dhcpv6.Option.
func (o *Rule) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	var flags byte
	if o.Forwarding {
		flags = flagForwarding
	}
	b := []byte{flags, o.EALength, byte(o.IPv4.Bits())}
	b = append(b, o.IPv4.Masked().Addr().AsSlice()...)
	return appendPortParams(appendPrefix(b, o.IPv6), o.PortParams)
}

// FromBytes implements dhcpv6.Option. Reserved flags and the bits after the
// prefixes are ignored.
func (o *Rule) FromBytes(b []byte) error {
	if len(b) < ruleFixedLength {
		return fmt.Errorf("%d octets: %w", len(b), ErrLength)
	}
	if b[2] > 32 {
		return fmt.Errorf("prefix4-len %d: %w", b[2], ErrValue)
	}
	rule := Rule{
		Forwarding: b[0]&flagForwarding != 0,
		EALength:   b[1],
		IPv4:       netip.PrefixFrom(netip.AddrFrom4([4]byte(b[3:])), int(b[2])).Masked(),
	}
	prefix, rest, err := readPrefix(b[ruleFixedLength:])
	if err != nil {
		return err
	}
	rule.IPv6 = prefix
	if rule.PortParams, err = readPortParams(rest); err != nil {
		return err
	}
	// RFC 7598 section 4.5: the option "with an explicit PSID MUST be discarded if
	// the S46 CE isn't configured with a full IPv4 address".
	if rule.PortParams != nil && rule.PortParams.Length > 0 && !rule.fullAddress() {
		rule.PortParams = nil
	}
	if err := rule.Validate(); err != nil {
		return err
	}
	*o = rule
	return nil
}

// String is like "BMR 192.0.2.0/24 2001:db8::/40 ea-len 16 offset 6 PSID 0/0".
func (o *Rule) String() string {
	kind := "BMR"
	if o.Forwarding {
		kind = "FMR"
	}
	text := fmt.Sprintf("%s %s %s ea-len %d", kind, o.IPv4, o.IPv6, o.EALength)
	if o.PortParams != nil {
		text += " " + o.PortParams.String()
	}
	return text
}
