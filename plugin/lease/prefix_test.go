package lease

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// TestPrefix: the tunnel address is that of the port set which is granted, whichever
// was wished for, and moves with the prefix.
func TestPrefix(t *testing.T) {
	b := testBook(t, testPool("p", "192.0.2.0/28", nil))
	first := Request{Prefix: netip.MustParsePrefix("2001:db8:0:100::/56"), Mechanism: pool.DHCPv6}
	has := func(q Request, kind Kind) Lease {
		t.Helper()
		g, err := b.Acquire(q, start)
		if err != nil {
			t.Fatal(err)
		}
		s := g.Lease.Softwire
		if want, err := softwire.TunnelAddress(q.Prefix, s.IPv4, s.PortSet); err != nil || s.B4 != want || g.Kind != kind {
			t.Fatalf("%s by a grant of kind %d; want the tunnel address %s, %v, and kind %d", s, g.Kind, want, err, kind)
		}
		return g.Lease
	}
	lease := has(first, New)
	if !lease.Subscriber.Contains(first.Prefix.Addr()) {
		t.Errorf("the subscriber is %s", lease.Subscriber)
	}
	has(first, Existing)
	second := Request{Prefix: netip.MustParsePrefix("2001:db8:0:200::/56"), Mechanism: pool.DHCPv6, Want: lease.Key()}
	if other := has(second, New); other.Key() == lease.Key() {
		t.Errorf("%s was given twice", other.Key())
	}
	moved := first
	moved.Prefix = netip.MustParsePrefix("2001:db8:0:1ff::/64")
	if now := has(moved, Changed); now.Key() != lease.Key() {
		t.Errorf("the port set changed with the tunnel address: %s, it was %s", now.Key(), lease.Key())
	}
	for _, prefix := range []string{"192.0.2.0/24", "2001:db8:0:300::/64"} {
		bad := Request{Prefix: netip.MustParsePrefix(prefix), Subscriber: b4(3), Mechanism: pool.DHCPv6}
		if g, err := b.Acquire(bad, start); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", prefix, g, err)
		}
	}
}
