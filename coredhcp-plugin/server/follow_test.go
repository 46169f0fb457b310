package server

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// TestFollow: a prefix that another handler delegates gets its softwire, which lasts
// as long, and ends with it.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(testPool())
		c.Follow = true
		s := newScene(t, c)
		prefix := netip.MustParsePrefix("2001:db8:100:4200::/56")
		answer := func(kind dhcpv6.MessageType, delegates netip.Prefix) *dhcpv6.Message {
			t.Helper()
			a := ask{kind: kind, ias: [][]string{{prefix.String()}}, oro: lw, id: dhcpv6.TransactionID{byte(kind)}}
			if kind != dhcpv6.MessageTypeSolicit {
				a.to = serverID
			}
			req := a.message().(*dhcpv6.Message)
			resp := begin(req, Identifier(serverID))
			if delegates.IsValid() {
				pd := &dhcpv6.OptIAPD{IaId: [4]byte{0, 0, 0, 1}}
				pd.Options.Add(prefixOption(delegates, 30*time.Minute, time.Hour))
				resp.AddOption(pd)
			}
			got, stop := s.server.Answer(t.Context(), "", req, resp)
			if got == nil || stop {
				t.Fatalf("%s: not answered", kind)
			}
			return got.(*dhcpv6.Message)
		}
		offer := answer(dhcpv6.MessageTypeSolicit, prefix)
		if lw := container(t, offer); lw == nil || lw.Bind.Prefix != prefix || len(s.source.given) != 0 {
			t.Fatalf("%s", offer.Summary())
		}
		m := answer(dhcpv6.MessageTypeRequest, prefix)
		if lw := container(t, m); lw == nil || lw.Bind.Prefix != prefix || len(m.Options.IAPD()) != 1 {
			t.Fatalf("%s", m.Summary())
		}
		// A prefix that is not the operator's to provision.
		if m := answer(dhcpv6.MessageTypeRequest, netip.MustParsePrefix("2001:db8:999::/56")); len(s.source.given) != 1 {
			t.Errorf("%s", m.Summary())
		}
		s.source.set(errDown, false)
		if m := answer(dhcpv6.MessageTypeRenew, prefix); m.Options.OneIAPD().T1 != time.Minute || container(t, m) == nil {
			t.Errorf("without the source: %s", m.Summary())
		}
		s.source.set(nil, false)
		s.source.lasts = 10 * time.Minute
		if m := answer(dhcpv6.MessageTypeRenew, prefix); prefixIn(m, 1).ValidLifetime > 10*time.Minute {
			t.Errorf("with a short softwire: %s", m.Summary())
		}
		answer(dhcpv6.MessageTypeRelease, netip.Prefix{})
		synctest.Wait()
		if got := s.source.releases(); len(got) != 1 || got[0] != prefix {
			t.Errorf("given back: %v", got)
		}
	})
}
