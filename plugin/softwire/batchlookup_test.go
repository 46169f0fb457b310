package softwire

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// TestLookupAll: what it finds is what Lookup finds.
func TestLookupAll(t *testing.T) {
	table := NewTable()
	var c Change
	for i := range 3000 {
		ip := netip.AddrFrom4([4]byte{192, 0, byte(i / 16 % 256), byte(i / 4096)})
		set, err := portset.Of(uint8(i/16%3), 6+uint8(i/16%5), uint16(i%16))
		if err != nil {
			t.Fatal(err)
		}
		b4 := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
		c.Put = append(c.Put, Softwire{ip, set, b4, netip.MustParseAddr("2001:db8:ffff::1")})
	}
	if err := table.Apply(c); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Snapshot{table.Snapshot(), NewTable().Snapshot()} {
		probes := make([]Probe, 5000)
		for i := range probes {
			probes[i] = Probe{IP: [4]byte{192, 0, byte(rand.IntN(256)), byte(rand.IntN(2))}, Port: uint16(rand.IntN(1 << 16))}
		}
		s.LookupAll(probes)
		found := 0
		for _, p := range probes {
			m, ok := s.Lookup(p.IP, p.Port)
			if ok != p.Found || ok && m != p.Match {
				t.Fatalf("%v port %d: LookupAll %v %+v, Lookup %v %+v", p.IP, p.Port, p.Found, p.Match, ok, m)
			}
			if ok {
				found++
			}
		}
		if s.Len() > 0 && found == 0 {
			t.Error("no probe found anything")
		}
	}
}
