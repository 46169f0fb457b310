package compare

import (
	"net/netip"
	"testing"
)

// FuzzPackets holds that no bytes break the comparison, and that a packet that
// can be taken apart agrees with itself.
func FuzzPackets(f *testing.F) {
	for _, p := range [][]byte{encapsulated(f), fragment6(f), fragment4(f), error4(f), error6(f), echo4(f), listener(f)} {
		f.Add(p, p)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, rule := range []Rule{Exact, Normalised} {
			o := Options{Rule: rule, Own: netip.MustParseAddr(ownAddress)}
			Packets([][]byte{a}, [][]byte{b}, o)
			if _, err := dissect(a, o); err != nil {
				continue
			}
			if found := Packets([][]byte{a}, [][]byte{a}, o); len(found) > 0 {
				t.Errorf("a packet differs from itself: %q", found)
			}
		}
	})
}
