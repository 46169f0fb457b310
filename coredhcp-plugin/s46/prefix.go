package s46

import (
	"fmt"
	"net/netip"
)

// appendPrefix appends the length of an IPv6 prefix and as many of its octets
// as the length covers (RFC 7598 sections 4.1, 4.3 and 4.4).
func appendPrefix(b []byte, p netip.Prefix) []byte {
	octets := p.Masked().Addr().As16()
	b = append(b, byte(p.Bits()))
	return append(b, octets[:(p.Bits()+7)/8]...)
}

// readPrefix reads what appendPrefix appends, and returns what follows. Padding
// is ignored.
func readPrefix(b []byte) (p netip.Prefix, rest []byte, err error) {
	if len(b) == 0 {
		return p, nil, fmt.Errorf("no prefix length: %w", ErrLength)
	}
	bits, b := int(b[0]), b[1:]
	if bits > 128 {
		return p, nil, fmt.Errorf("prefix length %d: %w", bits, ErrValue)
	}
	n := (bits + 7) / 8
	if len(b) < n {
		return p, nil, fmt.Errorf("%d octets of a /%d: %w", len(b), bits, ErrLength)
	}
	var octets [16]byte
	copy(octets[:], b[:n])
	return netip.PrefixFrom(netip.AddrFrom16(octets), bits).Masked(), b[n:], nil
}

// checkPrefix says whether p is an IPv6 prefix.
func checkPrefix(p netip.Prefix) error {
	if !p.IsValid() || !p.Addr().Is6() {
		return fmt.Errorf("%s is not an IPv6 prefix: %w", p, ErrValue)
	}
	return nil
}

// checkServer says whether a can be the IPv6 address of a BR or a server.
func checkServer(a netip.Addr) error {
	if !a.Is6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return fmt.Errorf("%s is not the IPv6 address of a server: %w", a, ErrValue)
	}
	return nil
}
