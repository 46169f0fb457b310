package bgp

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Community is a community of RFC 1997: an AS of two octets and a value, each
// half of it. Its text is such as 64500:100, or the name of a well-known one.
type Community uint32

// Communities that the router sets by itself.
const (
	gracefulShutdown Community = 0xffff0000 // traffic should leave (RFC 8326)
	blackhole        Community = 0xffff029a // discard it (RFC 7999)
	noExport         Community = 0xffffff01 // RFC 1997
)

// wellKnown are the well-known communities that a configuration may have (RFC
// 1997, RFC 3765).
func wellKnown() map[string]Community {
	return map[string]Community{
		"no-export":           noExport,
		"no-advertise":        0xffffff02,
		"no-export-subconfed": 0xffffff03,
		"no-peer":             0xffffff04,
	}
}

// UnmarshalText reads a community. What is reserved (RFC 1997) is refused, unless
// it has one of the known names; GRACEFUL_SHUTDOWN is for draining, and
// BLACKHOLE would have whole pools dropped.
func (c *Community) UnmarshalText(text []byte) error {
	if known, ok := wellKnown()[string(text)]; ok {
		*c = known
		return nil
	}
	parts, err := numbers(string(text), 2, 16)
	if err != nil {
		return fmt.Errorf("%.60q is not a community such as 64500:100 or no-export", text)
	}
	*c = Community(parts[0]<<16 | parts[1])
	if parts[0] == 0 || parts[0] == 0xffff {
		if slices.Contains(slices.Collect(maps.Values(wellKnown())), *c) {
			return nil
		}
		return fmt.Errorf("%s is reserved; of those, no-export, no-advertise, no-export-subconfed and no-peer may be used", text)
	}
	return nil
}

// String is the text with numbers only.
func (c Community) String() string { return fmt.Sprintf("%d:%d", uint32(c)>>16, uint32(c)&0xffff) }

// MarshalText is String.
func (c Community) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LargeCommunity is one of RFC 8092: an AS and two values.
type LargeCommunity [3]uint32

// UnmarshalText reads a large community such as 64500:1:2.
func (c *LargeCommunity) UnmarshalText(text []byte) error {
	parts, err := numbers(string(text), 3, 32)
	if err != nil {
		return fmt.Errorf("%.60q is not a large community such as 64500:1:2", text)
	}
	// RFC 8092 section 5: "The use of Reserved ASNs (0, 65535, 4294967295) is NOT
	// RECOMMENDED."
	if reservedAS(parts[0]) {
		return fmt.Errorf("%s: %d is no AS", text, parts[0])
	}
	*c = LargeCommunity(parts)
	return nil
}

// String is the text.
func (c LargeCommunity) String() string { return fmt.Sprintf("%d:%d:%d", c[0], c[1], c[2]) }

// MarshalText is String.
func (c LargeCommunity) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// numbers reads count decimal numbers of so many bits, joined by colons.
func numbers(text string, count, bits int) ([]uint32, error) {
	parts := strings.Split(text, ":")
	if len(parts) != count {
		return nil, strconv.ErrSyntax
	}
	all := make([]uint32, count)
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, bits)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return nil, strconv.ErrSyntax
		}
		all[i] = uint32(n)
	}
	return all, nil
}

// reservedAS says whether as is no AS of anybody (RFC 7607, RFC 7300).
func reservedAS(as uint32) bool { return as == 0 || as == 65535 || as == 4294967295 }
