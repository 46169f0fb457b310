package dhcp

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func TestOffers(t *testing.T) {
	const aftr = "aftr.example.net"
	until := begin.Add(time.Hour)
	set := func(k uint8, psid uint16) portset.PortSet {
		s, err := portset.Of(0, k, psid)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	lw := func(ipv4 string, s portset.PortSet, bind string) *s46.LW {
		return s46.NewLW(br, netip.MustParseAddr(ipv4), s, netip.MustParsePrefix(bind))
	}
	second := netip.MustParseAddr("2001:db8:ffff::2")
	two := lw("192.0.2.1", set(6, 5), "2001:db8:1:100::/56")
	two.BRs = append(two.BRs, s46.BR{Address: second})
	onlyBR := &s46.LW{BRs: []s46.BR{{Address: br}}}
	for _, row := range []struct {
		name  string
		lease Lease
		b4    string // of each offer
		brs   []string
		asks  bool
		err   error
	}{
		{name: "no lease"},
		// RFC 7597 section 6: the PSID is right-justified in the last 16 bits.
		{name: "the whole prefix", lease: Lease{Softwire: lw("192.0.2.1", set(6, 5), "2001:db8:1:100::/56")},
			b4: "2001:db8:1:100:0:c000:201:5", brs: []string{"2001:db8:ffff::1"}},
		{name: "one of its subnets", lease: Lease{Softwire: lw("192.0.2.1", set(8, 52), "2001:db8:1:1aa::/64")},
			b4: "2001:db8:1:1aa:0:c000:201:34", brs: []string{"2001:db8:ffff::1"}},
		{name: "a prefix around it", lease: Lease{Softwire: lw("192.0.2.1", set(6, 5), "2001:db8::/32")},
			b4: "2001:db8:1:100:0:c000:201:5", brs: []string{"2001:db8:ffff::1"}},
		{name: "a whole address", lease: Lease{Softwire: lw("192.0.2.1", portset.PortSet{}, "2001:db8:1:100::/56")},
			b4: "2001:db8:1:100:0:c000:201:0", brs: []string{"2001:db8:ffff::1"}},
		{name: "two BRs", lease: Lease{Softwire: two},
			b4: "2001:db8:1:100:0:c000:201:5", brs: []string{"2001:db8:ffff::1", "2001:db8:ffff::2"}},
		{name: "the BR alone", lease: Lease{Softwire: onlyBR}, b4: "2001:db8:1:100::1", brs: []string{"2001:db8:ffff::1"}, asks: true},
		{name: "a name", lease: Lease{AFTRName: aftr}, b4: "2001:db8:1:100::1", brs: []string{"2001:db8:ffff::1", "2001:db8:ffff::2"}, asks: true},
		{name: "both", lease: Lease{AFTRName: aftr, Softwire: two},
			b4: "2001:db8:1:100:0:c000:201:5", brs: []string{"2001:db8:ffff::1", "2001:db8:ffff::2"}},
		{name: "both, the name preferred", lease: Lease{AFTRName: aftr, Softwire: two, Priority: []dhcpv6.OptionCode{94, 64, 96}},
			b4: "2001:db8:1:100::1", brs: []string{"2001:db8:ffff::1", "2001:db8:ffff::2"}, asks: true},
		{name: "what is preferred is missing", lease: Lease{Softwire: two, Priority: []dhcpv6.OptionCode{64, 88}},
			b4: "2001:db8:1:100:0:c000:201:5", brs: []string{"2001:db8:ffff::1", "2001:db8:ffff::2"}},
		{name: "neither", lease: Lease{Priority: []dhcpv6.OptionCode{96}}, err: ErrNoSoftwire},
		{name: "bound elsewhere", lease: Lease{Softwire: lw("192.0.2.1", set(6, 5), "2001:db8:2::/56")}, err: ErrBindPrefix},
		{name: "system ports", lease: Lease{Softwire: lw("192.0.2.1", set(6, 0), "2001:db8:1:100::/56")}, err: nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.name != "no lease" {
				row.lease.Prefix, row.lease.Until = delegated, until
			}
			offers, err := row.lease.Offers([]netip.Addr{br, second})
			if row.name == "system ports" {
				if err == nil {
					t.Error("accepted")
				}
				return
			}
			if !errors.Is(err, row.err) || len(offers) != len(row.brs) {
				t.Fatalf("got %+v, %v", offers, err)
			}
			for i, o := range offers {
				if o.Ends.B4.String() != row.b4 || o.Ends.BR.String() != row.brs[i] || !o.Until.Equal(until) || (len(o.Ports.Sets) == 0) != row.asks {
					t.Errorf("offer %d is %+v", i, o)
				}
			}
		})
	}
}

func TestOffersOfUselessAddresses(t *testing.T) {
	l := Lease{Prefix: delegated, AFTRName: "aftr.example.net"}
	for _, a := range []string{"::", "::1", "fe80::1", "ff02::1", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:100::1"} {
		if offers, err := l.Offers([]netip.Addr{netip.MustParseAddr(a)}); !errors.Is(err, ErrBR) || len(offers) > 0 {
			t.Errorf("%s: %v, %v", a, offers, err)
		}
	}
	offers, err := l.Offers([]netip.Addr{netip.MustParseAddr("::1"), br})
	if len(offers) != 1 || err == nil {
		t.Errorf("a good one among others: %v, %v", offers, err)
	}
}
