package fragment_test

import (
	"errors"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/forwarder/fragment"
)

// FuzzCut cuts whatever comes, and checks every cut that succeeds.
func FuzzCut(f *testing.F) {
	f.Add(packet6(make([]byte, 1500)), uint16(1280))
	f.Add(packet4(0, nil, make([]byte, 1500)), uint16(576))
	f.Add(packet4(mf|7, join(recordRoute, nop), make([]byte, 1504)), uint16(68))
	f.Add(packet4(df, join(routerAlert, looseRoute, end), make([]byte, 300)), uint16(100))
	known := []error{fragment.ErrMalformed, fragment.ErrMTU, fragment.ErrTooMany, fragment.ErrDontFragment}
	f.Fuzz(func(t *testing.T, packet []byte, mtu uint16) {
		for name, cut := range map[string]func(a fragment.Arena) (int, error){
			"IPv6":       func(a fragment.Arena) (int, error) { return fragment.IPv6(a, packet, int(mtu), 5) },
			"IPv4":       func(a fragment.Arena) (int, error) { return fragment.IPv4(a, packet, int(mtu)) },
			"IPv4Forced": func(a fragment.Arena) (int, error) { return fragment.IPv4Forced(a, packet, int(mtu), 9) },
		} {
			var a arena
			n, err := cut(&a)
			if n != len(a.packets) || n > fragment.MaxFragments || (err == nil) != (n > 0) {
				t.Fatalf("%s = %d, %v with %d packets", name, n, err, len(a.packets))
			}
			expected := err == nil
			for _, k := range known {
				expected = expected || errors.Is(err, k)
			}
			if !expected {
				t.Fatalf("%s: unexpected error %v", name, err)
			}
			for i, p := range a.packets {
				if len(p) > int(mtu) {
					t.Fatalf("%s: fragment %d has %d octets, MTU %d", name, i, len(p), mtu)
				}
			}
			if name == "IPv6" && n > 1 {
				check6(t, packet[:40+int(packet[4])<<8+int(packet[5])], a.packets, int(mtu), 5)
			}
		}
	})
}
