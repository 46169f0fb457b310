package server

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
)

// TestExchange: what a client gets from its first Solicit to its Release.
func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		offer := s.must(ask{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}, oro: lw})
		if offer.Type() != dhcpv6.MessageTypeAdvertise {
			t.Fatalf("a Solicit is answered with %s", offer.Type())
		}
		prefix := delegated(offer, 1)
		if !testPool().holds(prefix) || prefix.Bits() != 56 {
			t.Errorf("offered %s", prefix)
		}
		if len(s.source.given) != 0 {
			t.Error("a Solicit has a softwire granted")
		}

		reply := s.request(clientID, prefix.String())
		if got := delegated(reply, 1); got != prefix {
			t.Errorf("offered %s, delegated %s", prefix, got)
		}
		pd := reply.Options.OneIAPD()
		p := prefixIn(reply, 1)
		if p.PreferredLifetime != 12*time.Hour || p.ValidLifetime != 24*time.Hour || pd.T1 != 6*time.Hour || pd.T2 != 12*time.Hour*4/5 {
			t.Errorf("lifetimes %s, %s, T1 %s, T2 %s", p.PreferredLifetime, p.ValidLifetime, pd.T1, pd.T2)
		}
		want := &s46.LW{
			BRs: []s46.BR{{Address: br}},
			Bind: &s46.V4V6Bind{
				IPv4: netip.MustParseAddr("192.0.2.0"), Prefix: prefix,
				PortParams: &s46.PortParams{Length: 6, PSID: 1},
			},
		}
		if diff := cmp.Diff(want, container(t, reply), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}

		time.Sleep(6 * time.Hour)
		renewal := s.must(ask{kind: dhcpv6.MessageTypeRenew, to: serverID, ias: [][]string{{prefix.String()}}, oro: lw})
		if got := prefixIn(renewal, 1); got == nil || got.ValidLifetime != 24*time.Hour {
			t.Errorf("renewed: %v", got)
		}
		if diff := cmp.Diff(reply.GetOneOption(dhcpv6.OptionS46ContLW).ToBytes(), renewal.GetOneOption(dhcpv6.OptionS46ContLW).ToBytes()); diff != "" {
			t.Errorf("the container has changed: %s", diff)
		}

		gone := s.must(ask{kind: dhcpv6.MessageTypeRelease, to: serverID, ias: [][]string{{prefix.String()}}})
		if status := gone.Options.Status(); status == nil || status.StatusCode != iana.StatusSuccess || len(gone.Options.IAPD()) != 0 {
			t.Errorf("released: %s", gone.Summary())
		}
		synctest.Wait()
		if got := s.source.releases(); len(got) != 1 || got[0] != prefix {
			t.Errorf("softwires given back for %v", got)
		}
		again := s.request(clientID)
		if got := delegated(again, 1); got != prefix {
			t.Errorf("who returns had %s and gets %s", prefix, got)
		}
	})
}
