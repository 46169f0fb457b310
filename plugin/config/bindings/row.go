package bindings

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Row is one Entry with the line where it starts, from 1.
type Row struct {
	Line  int
	Entry Entry
}

// rowError is a problem of one row or, with fatal, one after which the reader
// does not know where the next row starts.
type rowError struct {
	line  int
	err   error // of package element where one key is to blame
	fatal bool
}

// Error is the problem; Locate adds the place.
func (e *rowError) Error() string { return e.err.Error() }

// Unwrap is the problem.
func (e *rowError) Unwrap() error { return e.err }

func rowErrorf(line int, format string, args ...any) *rowError {
	return &rowError{line: line, err: fmt.Errorf(format, args...)}
}

// locate adds file, line and element to the errors of one row.
func locate(file string, line int, err error) config.Errors {
	var all config.Errors
	for _, e := range element.Each(err) {
		if at, ok := e.(*element.Error); ok {
			all = append(all, &config.Error{File: file, Line: line, Element: at.Path, Err: at.Err})
		} else {
			all = append(all, &config.Error{File: file, Line: line, Err: e})
		}
	}
	return all
}

// field says which fields of an Entry are there.
type field uint8

const (
	hasIPv4 field = 1 << iota
	hasIPv6Info
	hasPSIDOffset
	hasPSIDLen
	hasPSID
	hasBR
)

// builder fills an Entry key by key.
type builder struct {
	entry Entry
	has   field
}

// numeric reports whether the values of key are numbers, and whether it is a
// key at all.
func numeric(key string) (number, known bool) {
	switch key {
	case keyPSIDOffset, keyPSIDLen, keyPSID:
		return true, true
	case keyIPv4, keyIPv6Info, keyBR:
		return false, true
	}
	return false, false
}

// set puts the value of one key.
func (b *builder) set(key, text string) error {
	var f field
	var err error
	e := &b.entry
	switch key {
	case keyIPv4:
		f = hasIPv4
		e.IPv4, err = parseAddr(text)
	case keyIPv6Info:
		f = hasIPv6Info
		err = e.IPv6Info.UnmarshalText([]byte(text))
	case keyPSIDOffset:
		f = hasPSIDOffset
		e.PSIDOffset, err = parseUint[uint8](text, 8)
	case keyPSIDLen:
		f = hasPSIDLen
		e.PSIDLen, err = parseUint[uint8](text, 8)
	case keyPSID:
		f = hasPSID
		e.PSID, err = parseUint[uint16](text, 16)
	case keyBR:
		f = hasBR
		e.BR, err = parseAddr(text)
	default:
		return element.Errorf(key, "unknown; known here: %s, %s, %s, %s, %s, %s",
			keyIPv4, keyIPv6Info, keyPSIDOffset, keyPSIDLen, keyPSID, keyBR)
	}
	if b.has&f != 0 {
		return element.Errorf(key, "given twice")
	}
	b.has |= f
	return element.At(key, err)
}

// missing reports the required keys that were not set.
func (b *builder) missing() error {
	switch {
	case b.has&hasIPv4 == 0:
		return element.Errorf(keyIPv4, "is missing")
	case b.has&hasIPv6Info == 0:
		return element.Errorf(keyIPv6Info, "is missing")
	}
	return nil
}

func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%.60q is not an IP address", text)
	}
	return a, nil
}

// parseUint reads a decimal number without sign or leading zeros.
func parseUint[T uint8 | uint16](text string, bits int) (*T, error) {
	u, err := strconv.ParseUint(text, 10, bits)
	if err != nil || len(text) > 1 && (text[0] == '0' || text[0] == '+') {
		return nil, fmt.Errorf("%.60q is not a whole decimal number from 0 to %d", text, uint32(1)<<bits-1)
	}
	v := T(u)
	return &v, nil
}
