package s46

import (
	"fmt"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// AFTRName is OPTION_AFTR_NAME (64, RFC 6334).
type AFTRName struct {
	// Name is a fully qualified domain name without the last dot, of letters,
	// digits, hyphens and underscores.
	Name string
}

var _ Option = (*AFTRName)(nil)

// Limits of a domain name on the wire (RFC 1035 section 2.3.4).
const (
	maxLabel = 63
	maxName  = 255 // with the lengths of labels and the last, empty one
)

// Code is 64.
func (o *AFTRName) Code() dhcpv6.OptionCode { return dhcpv6.OptionAFTRName }

// Validate implements Option.
func (o *AFTRName) Validate() error {
	if n := len(o.Name) + 2; n > maxName {
		return fmt.Errorf("a name of %d octets, at most %d: %w", n, maxName, ErrLength)
	}
	for label := range strings.SplitSeq(o.Name, ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

// checkLabel says whether a label can be one of Name.
func checkLabel(label string) error {
	if len(label) == 0 || len(label) > maxLabel {
		return fmt.Errorf("a label of %d octets: %w", len(label), ErrLength)
	}
	if strings.ContainsFunc(label, notInName) {
		return fmt.Errorf("%q in a host name: %w", label, ErrValue)
	}
	return nil
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// ToBytes implements dhcpv6.Option.
func (o *AFTRName) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	var b []byte
	for label := range strings.SplitSeq(o.Name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}

// FromBytes implements dhcpv6.Option. RFC 6334 section 5 has clients use the
// first of several names; section 3 has the option be longer than 3 octets, and
// without compression.
func (o *AFTRName) FromBytes(b []byte) error {
	if len(b) <= 3 {
		return fmt.Errorf("%d octets: %w", len(b), ErrLength)
	}
	var labels []string
	for len(b) > 0 && b[0] != 0 {
		// A length above 63 is that of a compression tag.
		n := int(b[0])
		if n > maxLabel || n >= len(b) {
			return fmt.Errorf("a label of %d octets in %d: %w", n, len(b)-1, ErrLength)
		}
		label := string(b[1 : 1+n])
		if err := checkLabel(label); err != nil {
			return err
		}
		labels, b = append(labels, label), b[1+n:]
	}
	if len(b) == 0 {
		return fmt.Errorf("a name without an end: %w", ErrLength)
	}
	name := AFTRName{strings.Join(labels, ".")}
	if err := name.Validate(); err != nil {
		return err
	}
	*o = name
	return nil
}

// String is the name of the option and that of the AFTR.
func (o *AFTRName) String() string { return fmt.Sprintf("%s: %s", o.Code(), o.Name) }
