package portset

import (
	"encoding"
	"errors"
	"fmt"
	"strings"
)

// ErrSyntax reports a text that is not of the form its parser reads.
var ErrSyntax = errors.New("malformed text")

var (
	_ encoding.TextMarshaler   = PortSet{}
	_ encoding.TextUnmarshaler = (*PortSet)(nil)
	_ encoding.TextMarshaler   = Params{}
	_ encoding.TextUnmarshaler = (*Params)(nil)
	_ encoding.TextMarshaler   = Range{}
	_ encoding.TextUnmarshaler = (*Range)(nil)
)

// String is "psid-offset/psid-len/psid", for example "6/8/52".
func (s PortSet) String() string {
	return fmt.Sprintf("%s/%d", s.params, s.psid)
}

// ParsePortSet reads what PortSet.String writes. With psid-len 0 any
// psid-offset is read and not kept. The error wraps ErrSyntax, ErrParams or
// ErrPSID.
func ParsePortSet(text string) (PortSet, error) {
	fields := strings.Split(text, "/")
	if len(fields) != 3 {
		return PortSet{}, fmt.Errorf("port set %.40q: %w: want psid-offset/psid-len/psid such as 6/8/52", text, ErrSyntax)
	}
	p, err := paramsOf(fields[0], fields[1])
	if err != nil {
		return PortSet{}, fmt.Errorf("port set %.40q: %w", text, err)
	}
	psid, err := number(fields[2])
	if err != nil {
		return PortSet{}, fmt.Errorf("port set %.40q: psid %w", text, err)
	}
	if psid > 0xffff {
		return PortSet{}, fmt.Errorf("port set %.40q: %w", text, ErrPSID)
	}
	s, err := New(p, uint16(psid))
	if err != nil {
		return PortSet{}, fmt.Errorf("port set %.40q: %w", text, err)
	}
	return s, nil
}

// MarshalText implements encoding.TextMarshaler with String.
func (s PortSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParsePortSet.
func (s *PortSet) UnmarshalText(text []byte) error { return unmarshal(s, text, ParsePortSet) }

// String is "psid-offset/psid-len", for example "6/8".
func (p Params) String() string { return fmt.Sprintf("%d/%d", p.offset, p.length) }

// ParseParams reads what Params.String writes. With psid-len 0 any psid-offset
// is read and not kept. The error wraps ErrSyntax or ErrParams.
func ParseParams(text string) (Params, error) {
	fields := strings.Split(text, "/")
	if len(fields) != 2 {
		return Params{}, fmt.Errorf("parameters %.40q: %w: want psid-offset/psid-len such as 6/8", text, ErrSyntax)
	}
	p, err := paramsOf(fields[0], fields[1])
	if err != nil {
		return Params{}, fmt.Errorf("parameters %.40q: %w", text, err)
	}
	return p, nil
}

// MarshalText implements encoding.TextMarshaler with String.
func (p Params) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseParams.
func (p *Params) UnmarshalText(text []byte) error { return unmarshal(p, text, ParseParams) }

// String is "first-last", for example "1024-2047".
func (r Range) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// ParseRange reads what String writes of a range that is not empty, or a single
// port such as "5351". The error wraps ErrSyntax.
func ParseRange(text string) (Range, error) {
	low, high, found := strings.Cut(text, "-")
	if !found {
		high = low
	}
	first, err := number(low)
	if err != nil {
		return Range{}, fmt.Errorf("port range %.40q: first port %w", text, err)
	}
	last, err := number(high)
	if err != nil {
		return Range{}, fmt.Errorf("port range %.40q: last port %w", text, err)
	}
	if first > last || last > 0xffff {
		return Range{}, fmt.Errorf("port range %.40q: %w: want first-last, ascending and at most 65535", text, ErrSyntax)
	}
	return Range{uint16(first), uint16(last)}, nil
}

// MarshalText implements encoding.TextMarshaler with String.
func (r Range) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseRange.
func (r *Range) UnmarshalText(text []byte) error { return unmarshal(r, text, ParseRange) }

// unmarshal stores what parse reads, and leaves into alone when it fails.
func unmarshal[T any](into *T, text []byte, parse func(string) (T, error)) error {
	v, err := parse(string(text))
	if err != nil {
		return err
	}
	*into = v
	return nil
}

// paramsOf reads the two fields of parameters.
func paramsOf(offset, length string) (Params, error) {
	a, err := number(offset)
	if err != nil {
		return Params{}, fmt.Errorf("psid-offset %w", err)
	}
	k, err := number(length)
	if err != nil {
		return Params{}, fmt.Errorf("psid-len %w", err)
	}
	if a > 16 || k > 16 {
		return Params{}, fmt.Errorf("psid-offset %d, psid-len %d: %w", a, k, ErrParams)
	}
	return NewParams(uint8(a), uint8(k))
}

// number reads up to five decimal digits. Signs, blanks and leading zeros are
// refused: each value has one text, and 010 is not left to be taken for octal.
func number(text string) (int, error) {
	if text == "" || len(text) > 5 || len(text) > 1 && text[0] == '0' {
		return 0, fmt.Errorf("%.20q: %w: want a decimal number of at most five digits", text, ErrSyntax)
	}
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%.20q: %w: want a decimal number", text, ErrSyntax)
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}
