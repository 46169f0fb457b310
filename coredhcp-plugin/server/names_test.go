package server

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// TestCheckNames: a name must be that of the pool's BR address, and of no other.
func TestCheckNames(t *testing.T) {
	other := netip.MustParseAddr("2001:db8::77")
	lookup := func(_ context.Context, network, host string) ([]netip.Addr, error) {
		switch {
		case network != "ip6":
			return nil, errors.New("not asked for IPv6")
		case host == "good.example":
			return []netip.Addr{br}, nil
		case host == "two.example":
			return []netip.Addr{br, other}, nil
		case host == "other.example":
			return []netip.Addr{other}, nil
		}
		return nil, errors.New("no such host")
	}
	for name, want := range map[string]string{
		"": "", "good.example": "", "two.example": other.String(), "other.example": other.String(), "gone.example": "no such host",
	} {
		p := testPool()
		p.BR, p.AFTRName = br, name
		err := CheckNames(t.Context(), []Pool{testPool(), p}, lookup)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "pools[1].aftr-name: ")) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}
