package softwire

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

func TestTunnelAddress(t *testing.T) {
	for _, c := range []struct {
		name, prefix, ipv4, set string
		want                    string // "" is an error
	}{
		{"a /56", "2001:db8:1:8000::/56", "192.0.2.3", "0/6/5", "2001:db8:1:8000:0:c000:203:5"},
		{"a /64", "2001:db8:1:80ff::/64", "192.0.2.3", "0/8/52", "2001:db8:1:80ff:0:c000:203:34"},
		// RFC 7597 appendix A, example 1: the address of the CE.
		{"a CE of RFC 7597", "2001:db8:12:3400::/56", "192.0.2.18", "6/8/52", "2001:db8:12:3400:0:c000:212:34"},
		{"a whole address", "2001:db8::/48", "192.0.2.3", "0/0/0", "2001:db8::c000:203:0"},
		{"a PSID of 16 bits", "2001:db8::/48", "192.0.2.3", "0/16/65535", "2001:db8::c000:203:ffff"},
		{"a prefix with host bits", "2001:db8:1:80ff::7/56", "192.0.2.3", "0/6/5", "2001:db8:1:8000:0:c000:203:5"},
		{"an odd length", "2001:db8:ffff::/43", "192.0.2.3", "0/6/5", "2001:db8:ffe0::c000:203:5"},
		{"a prefix that overwrites the padding", "2001:db8:0:1:1234::/80", "192.0.2.3", "0/6/5", "2001:db8:0:1:1234:c000:203:5"},
		{"a prefix that ends in the IPv4 address", "2001:db8:0:1:0:8000::/81", "192.0.2.3", "0/6/5", "2001:db8:0:1:0:c000:203:5"},
		{"a /128", "2001:db8::1/128", "192.0.2.3", "0/6/5", "2001:db8::1"},
		{"a /0", "::/0", "192.0.2.3", "0/6/5", "::c000:203:5"},
		{"an IPv4 prefix", "192.0.2.0/24", "192.0.2.3", "0/6/5", ""},
		{"an IPv6 address for the IPv4", "2001:db8::/56", "2001:db8::1", "0/6/5", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := portset.ParsePortSet(c.set)
			if err != nil {
				t.Fatal(err)
			}
			got, err := TunnelAddress(netip.MustParsePrefix(c.prefix), netip.MustParseAddr(c.ipv4), set)
			if c.want == "" {
				if !errors.Is(err, ErrAddress) {
					t.Errorf("%s, %v; want an error that wraps %q", got, err, ErrAddress)
				}
				return
			}
			if err != nil || got != netip.MustParseAddr(c.want) {
				t.Errorf("%s, %v; want %s", got, err, c.want)
			}
		})
	}
}
