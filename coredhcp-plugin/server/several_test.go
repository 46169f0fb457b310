package server

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// TestRapidCommit: a Solicit that asks for it is answered with a Reply that is
// durable, unless that is switched off (RFC 8415 section 18.3.1).
func TestRapidCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(testPool())
		solicit := ask{kind: dhcpv6.MessageTypeSolicit, rapid: true, ias: [][]string{nil}, oro: lw}
		s := newScene(t, c)
		m := s.must(solicit)
		if m.Type() != dhcpv6.MessageTypeReply || m.GetOneOption(dhcpv6.OptionRapidCommit) == nil || container(t, m) == nil {
			t.Errorf("%s", m.Summary())
		}
		again := s.restart(c).must(solicit)
		if delegated(again, 1) != delegated(m, 1) {
			t.Errorf("%s, and after a restart %s", delegated(m, 1), delegated(again, 1))
		}
		c.RapidCommit = false
		m = newScene(t, c).must(solicit)
		if m.Type() != dhcpv6.MessageTypeAdvertise || m.GetOneOption(dhcpv6.OptionRapidCommit) != nil {
			t.Errorf("%s", m.Summary())
		}
	})
}

// TestSeveral: a client has as many prefixes as its quota, all with the same T1 and
// T2, and one softwire, which stays with its prefix.
func TestSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool()
		p.Quota = 2
		s := newScene(t, testConfig(p))
		three := [][]string{nil, nil, nil}
		offer := s.must(ask{kind: dhcpv6.MessageTypeSolicit, ias: three})
		if got := statusOf(offer, 3); got != iana.StatusNoPrefixAvail || !delegated(offer, 2).IsValid() {
			t.Errorf("offered: %s", offer.Summary())
		}
		m := s.must(ask{kind: dhcpv6.MessageTypeRequest, to: serverID, ias: three, oro: lw})
		first, second := delegated(m, 1), delegated(m, 2)
		if !first.IsValid() || !second.IsValid() || first == second || delegated(m, 3).IsValid() {
			t.Fatalf("%s", m.Summary())
		}
		if got := statusOf(m, 3); got != iana.StatusNoPrefixAvail {
			t.Errorf("beyond the quota: %s", got)
		}
		if a, b := m.Options.IAPD()[0], m.Options.IAPD()[1]; a.T1 != b.T1 || a.T2 != b.T2 {
			t.Errorf("T1 %s and %s", a.T1, b.T1)
		}
		if lw := container(t, m); lw == nil || lw.Bind.Prefix != first {
			t.Errorf("%v", lw)
		}
		// The second alone is renewed, and the softwire is told nevertheless.
		pd := &dhcpv6.OptIAPD{IaId: [4]byte{0, 0, 0, 2}}
		pd.Options.Add(prefixOption(second, 0, 0))
		m = s.must(ask{kind: dhcpv6.MessageTypeRenew, to: serverID, oro: lw, more: []dhcpv6.Option{pd}})
		if lw := container(t, m); lw == nil || lw.Bind.Prefix != first || delegated(m, 2) != second {
			t.Errorf("%s", m.Summary())
		}
		// When the first has gone, the second has one with its next renewal.
		s.must(ask{kind: dhcpv6.MessageTypeRelease, to: serverID, ias: [][]string{{first.String()}}})
		synctest.Wait()
		m = s.must(ask{kind: dhcpv6.MessageTypeRenew, to: serverID, oro: lw, more: []dhcpv6.Option{pd}})
		if lw := container(t, m); lw == nil || lw.Bind.Prefix != second {
			t.Errorf("%s", m.Summary())
		}
	})
}

// TestRepeatedIA: an IA_PD that is there twice counts once.
func TestRepeatedIA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		pd := &dhcpv6.OptIAPD{IaId: [4]byte{0, 0, 0, 1}}
		for _, kind := range []dhcpv6.MessageType{dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest} {
			a := ask{kind: kind, ias: [][]string{nil}, more: []dhcpv6.Option{pd, pd}}
			if kind == dhcpv6.MessageTypeRequest {
				a.to = serverID
			}
			if m := s.must(a); len(m.Options.IAPD()) != 1 {
				t.Errorf("%s", m.Summary())
			}
		}
	})
}

// TestUnknown: what is said to who asks for what it does not have.
func TestUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		ours, others := [][]string{{"2001:db8:100:700::/56"}}, [][]string{{"2001:db8:999::/56"}}
		for _, c := range []struct {
			name string
			ask  ask
			want iana.StatusCode
		}{
			{"a Renew", ask{kind: dhcpv6.MessageTypeRenew, to: serverID, ias: ours}, iana.StatusNoBinding},
			{"a Rebind of a prefix of ours", ask{kind: dhcpv6.MessageTypeRebind, ias: ours}, iana.StatusNoBinding},
			{"a Release", ask{kind: dhcpv6.MessageTypeRelease, to: serverID, ias: ours}, iana.StatusNoBinding},
		} {
			m := s.must(c.ask)
			if got := statusOf(m, 1); got != c.want || delegated(m, 1).IsValid() {
				t.Errorf("%s: %s", c.name, m.Summary())
			}
		}
		// Another server may know it.
		if m := s.send(ask{kind: dhcpv6.MessageTypeRebind, ias: others}); m != nil {
			t.Errorf("a Rebind of somebody else's prefix: %s", m.Summary())
		}
	})
}

// TestReplayedRelease: only what a client has is released, by the client, and once.
func TestReplayedRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		mine, other := delegated(s.request(clientID), 1), delegated(s.request(client(2)), 1)
		release := ask{kind: dhcpv6.MessageTypeRelease, to: serverID, ias: [][]string{{other.String()}}}
		s.must(release)
		if got := s.server.Stats().Delegations; got.Pools[0].Bound != 2 {
			t.Errorf("a client has released what is another's: %+v", got)
		}
		release.ias = [][]string{{mine.String()}}
		s.must(release)
		if got := s.request(clientID); delegated(got, 1) != mine {
			t.Errorf("%s", got.Summary())
		}
		// The same octets once more, late.
		m := s.must(release)
		if got := s.server.Stats().Delegations; got.Pools[0].Bound != 2 || statusOf(m, 1) != iana.StatusNoBinding {
			t.Errorf("%+v, %s", got, m.Summary())
		}
		release.id = dhcpv6.TransactionID{7}
		s.must(release)
		if got := s.server.Stats().Delegations; got.Pools[0].Bound != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// TestOthersInRenew: a prefix that the client does not have is told to be gone (RFC
// 8415 section 18.3.4).
func TestOthersInRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		mine := delegated(s.request(clientID), 1)
		m := s.must(ask{kind: dhcpv6.MessageTypeRenew, to: serverID, ias: [][]string{{mine.String(), "2001:db8:100:7700::/56"}}})
		prefixes := m.Options.OneIAPD().Options.Prefixes()
		if len(prefixes) != 2 || delegated(m, 1) != mine || prefixes[1].ValidLifetime != 0 || prefixes[1].PreferredLifetime != 0 {
			t.Errorf("%s", m.Summary())
		}
	})
}

// TestExhausted: who asks when all prefixes are taken gets NoPrefixAvail.
func TestExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool()
		p.Prefixes = []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/56")}
		s := newScene(t, testConfig(p))
		s.request(clientID)
		for _, m := range []*dhcpv6.Message{
			s.must(ask{kind: dhcpv6.MessageTypeSolicit, from: client(2), ias: [][]string{nil}}),
			s.request(client(2)),
		} {
			if statusOf(m, 1) != iana.StatusNoPrefixAvail || container(t, m) != nil {
				t.Errorf("%s", m.Summary())
			}
		}
	})
}
