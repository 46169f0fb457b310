package s46

import (
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

func set(text string) portset.PortSet {
	s, err := portset.ParsePortSet(text)
	if err != nil {
		panic(err)
	}
	return s
}

// TestPortSet: every port set comes out of the option as it went in.
func TestPortSet(t *testing.T) {
	br, v4, prefix := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.3"), netip.MustParsePrefix("2001:db8::/56")
	for k := uint8(0); k <= 16; k++ {
		for a := uint8(0); a <= 15 && a+k <= 16; a++ {
			for psid := 0; psid < 1<<k; psid += 1 + 1<<k/7 {
				want, err := portset.Of(a, k, uint16(psid))
				if err != nil {
					t.Fatal(err)
				}
				var lw LW
				if err := lw.FromBytes(NewLW(br, v4, want, prefix).ToBytes()); err != nil {
					t.Fatalf("%s: %v", want, err)
				}
				if got, err := lw.Bind.PortSet(); err != nil || got != want {
					t.Fatalf("%s came out as %s, %v", want, got, err)
				}
			}
		}
	}
	if got, err := (&V4V6Bind{}).PortSet(); err != nil || !got.Whole() {
		t.Errorf("no port parameters are %s, %v; want a whole address", got, err)
	}
}
