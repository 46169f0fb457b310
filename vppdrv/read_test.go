package vppdrv

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/vppdrv/plan"
)

const shown = `[7] tag {lw4o6:test:s} ip4-pfx 192.0.2.1/32 ip6-pfx ::/128 ip6-src 2001:db8::1/128 ea-bits-len 0 psid-offset 0 psid-len 4 mtu 1500 
 rule psid: 0 ip6-dst fd00::1
 rule psid: 15 ip6-dst 2001:db8:1::1:2
`

func shownDomain() plan.Domain {
	return plan.Domain{Index: 7, Tag: "lw4o6:test:s", IPv4: netip.MustParsePrefix("192.0.2.1/32"), Length: 4}
}

func TestComplete(t *testing.T) {
	d := shownDomain()
	same, err := complete(&d, shown)
	want := map[uint16]netip.Addr{0: addr("fd00::1"), 15: addr("2001:db8:1::1:2")}
	if diff := cmp.Diff(want, d.Rules, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || !same || diff != "" {
		t.Errorf("complete: %t, %v, rules (-want +got):\n%s", same, err, diff)
	}
	for name, change := range map[string]func(*plan.Domain){
		"tag":   func(d *plan.Domain) { d.Tag = "lw4o6:test:w" },
		"index": func(d *plan.Domain) { d.Index = 77 },
		"ipv4":  func(d *plan.Domain) { d.IPv4 = netip.MustParsePrefix("192.0.2.1/31") },
	} {
		d := shownDomain()
		change(&d)
		if same, err := complete(&d, shown); same || err != nil {
			t.Errorf("another %s: %t, %v", name, same, err)
		}
	}
}

// FuzzComplete: what VPP prints is either understood or refused.
func FuzzComplete(f *testing.F) {
	f.Add(shown)
	f.Add("")
	f.Add("No MAP domains are configured...")
	f.Add(shown + " rule psid: 65536 ip6-dst ::1\n")
	f.Add(shown + " rule psid: 3 ip6-dst 192.0.2.1\n")
	f.Fuzz(func(t *testing.T, s string) {
		d := shownDomain()
		same, err := complete(&d, s)
		if err != nil && (same || !errors.Is(err, errShown)) {
			t.Errorf("%t, %v", same, err)
		}
		for psid, b4 := range d.Rules {
			if !b4.Is6() {
				t.Errorf("psid %d leads to %s", psid, b4)
			}
		}
	})
}
