package s46

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// optionHeader is the length of an option's code and length.
const optionHeader = 4

// readNested hands each option in data to read, in turn.
func readNested(data []byte, read func(code dhcpv6.OptionCode, data []byte) error) error {
	for len(data) > 0 {
		if len(data) < optionHeader {
			return fmt.Errorf("%d octets after the last option: %w", len(data), ErrLength)
		}
		code := dhcpv6.OptionCode(binary.BigEndian.Uint16(data))
		length := int(binary.BigEndian.Uint16(data[2:]))
		data = data[optionHeader:]
		if length > len(data) {
			return fmt.Errorf("%s has %d octets of %d: %w", code, len(data), length, ErrLength)
		}
		if err := read(code, data[:length]); err != nil {
			return fmt.Errorf("%s: %w", code, err)
		}
		data = data[length:]
	}
	return nil
}

// pointer is what makes an Option of a value of type O.
type pointer[O any] interface {
	*O
	Option
}

// readInto reads one more option of a kind.
func readInto[O any, P pointer[O]](into *[]O, data []byte) error {
	var o O
	if err := P(&o).FromBytes(data); err != nil {
		return err
	}
	*into = append(*into, o)
	return nil
}

// appendAll appends a list of options of one kind.
func appendAll[O any, P pointer[O]](all dhcpv6.Options, list []O) dhcpv6.Options {
	for i := range list {
		all.Add(P(&list[i]))
	}
	return all
}

// validateAll says what is wrong with the first of options, which are ours, that
// is not valid.
func validateAll(options dhcpv6.Options) error {
	for _, o := range options {
		if err := o.(Option).Validate(); err != nil {
			return fmt.Errorf("%s: %w", o.Code(), err)
		}
	}
	return nil
}

// describe is a container as text.
func describe(code dhcpv6.OptionCode, inside dhcpv6.Options) string {
	texts := make([]string, len(inside))
	for i, o := range inside {
		texts[i] = o.String()
	}
	return fmt.Sprintf("%s: {%s}", code, strings.Join(texts, ", "))
}

// checkCount says whether n options or values are at least min, and not too many.
func checkCount(what string, n, min int) error {
	if n < min || n > MaxEntries {
		return fmt.Errorf("%d of %s, must be %d to %d: %w", n, what, min, MaxEntries, ErrCount)
	}
	return nil
}
