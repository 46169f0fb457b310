package server

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// TestDiscarded: what RFC 8415 section 16 has servers discard changes nothing and is
// not answered.
func TestDiscarded(t *testing.T) {
	many := make([][]string, maxIAs+1)
	crowd := [][]string{strings.Split(strings.Repeat("2001:db8:100::/56 ", maxPrefixes+1), " ")[:maxPrefixes+1]}
	for name, a := range map[string]ask{
		"a Solicit to a server":              {kind: dhcpv6.MessageTypeSolicit, to: serverID, ias: [][]string{nil}},
		"a Request to nobody":                {kind: dhcpv6.MessageTypeRequest, ias: [][]string{nil}},
		"a Request to another server":        {kind: dhcpv6.MessageTypeRequest, to: client(9), ias: [][]string{nil}},
		"a Renew to another server":          {kind: dhcpv6.MessageTypeRenew, to: client(9), ias: [][]string{nil}},
		"a Rebind to a server":               {kind: dhcpv6.MessageTypeRebind, to: serverID, ias: [][]string{nil}},
		"a Release to another server":        {kind: dhcpv6.MessageTypeRelease, to: client(9), ias: [][]string{nil}},
		"a Decline to nobody":                {kind: dhcpv6.MessageTypeDecline},
		"a Confirm to a server":              {kind: dhcpv6.MessageTypeConfirm, to: serverID},
		"a Confirm without addresses":        {kind: dhcpv6.MessageTypeConfirm, ias: [][]string{nil}},
		"a Confirm of addresses":             {kind: dhcpv6.MessageTypeConfirm, more: []dhcpv6.Option{&dhcpv6.OptIANA{}}},
		"an Information-request to another":  {kind: dhcpv6.MessageTypeInformationRequest, to: client(9)},
		"an Information-request with an IA":  {kind: dhcpv6.MessageTypeInformationRequest, ias: [][]string{nil}},
		"an Information-request for address": {kind: dhcpv6.MessageTypeInformationRequest, more: []dhcpv6.Option{&dhcpv6.OptIANA{}}},
		"an Advertise":                       {kind: dhcpv6.MessageTypeAdvertise},
		"a Reply":                            {kind: dhcpv6.MessageTypeReply},
		"a Reconfigure":                      {kind: dhcpv6.MessageTypeReconfigure},
		"a DHCPv4-query":                     {kind: dhcpv6.MessageTypeDHCPv4Query},
		"an unknown type":                    {kind: 200},
		"too many IA_PDs":                    {kind: dhcpv6.MessageTypeRequest, to: serverID, ias: many},
		"too many prefixes":                  {kind: dhcpv6.MessageTypeRequest, to: serverID, ias: crowd},
		"a long identifier":                  {kind: dhcpv6.MessageTypeSolicit, from: &dhcpv6.DUIDOpaque{Type: 9, Data: make([]byte, maxDUID)}, ias: [][]string{nil}},
		"a long Interface-ID":                {kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}, link: "2001:db8::1", interfaceID: strings.Repeat("x", maxID+1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, testConfig(testPool()))
				if m := s.send(a); m != nil {
					t.Errorf("answered: %s", m.Summary())
				}
				if stats := s.server.Stats().Delegations; stats.Pools[0].Bound+stats.Offered != 0 || len(s.source.given) != 0 {
					t.Errorf("it has changed something: %+v", stats)
				}
			})
		})
	}
}

// TestDiscardedIsLogged: the log says whose message was discarded, and why, but
// nothing of those that other servers of the link are to answer.
func TestDiscardedIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		s.send(ask{kind: dhcpv6.MessageTypeRenew, to: client(9), ias: [][]string{nil}, link: "2001:db8:a::1"})
		if entry := s.logged.LastEntry(); entry != nil {
			t.Errorf("another server's message is logged: %v", entry)
		}
		counted := make(map[string]uint64)
		for _, c := range s.server.Stats().Counts {
			counted[c.Name] = c.Count
		}
		if counted["other-server"] != 1 || counted["malformed"] != 0 {
			t.Errorf("counted %v", counted)
		}
		s.send(ask{kind: dhcpv6.MessageTypeRenew, ias: [][]string{nil}, link: "2001:db8:a::1"})
		entry := s.logged.LastEntry()
		if entry == nil {
			t.Fatal("nothing is logged")
		}
		got := fmt.Sprintf("%s %s %s %s", entry.Data["client"], entry.Data["message"], entry.Data["link"], entry.Data["error"])
		if want := "00030001020100000001 RENEW 2001:db8:a::1 unusable message: a RENEW to no server"; got != want {
			t.Errorf("logged %q, want %q", got, want)
		}
	})
}

// TestNoClient: without a client identifier only an Information-request is answered
// (RFC 8415 section 18.3.6).
func TestNoClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool()
		p.DHCP4o6 = true
		s := newScene(t, testConfig(p))
		for kind := range dhcpv6.MessageType(12) {
			m := &dhcpv6.Message{MessageType: kind}
			if kind != dhcpv6.MessageTypeSolicit && kind != dhcpv6.MessageTypeRebind {
				m.AddOption(dhcpv6.OptServerID(serverID))
			}
			m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDHCP4oDHCP6Server))
			answer := s.server.Respond(t.Context(), "", Identifier(serverID), m.ToBytes())
			if (answer != nil) != (kind == dhcpv6.MessageTypeInformationRequest) {
				t.Errorf("%s is answered with %x", kind, answer)
			}
			if answer == nil {
				continue
			}
			d, err := dhcpv6.MessageFromBytes(answer)
			if err != nil {
				t.Fatal(err)
			}
			// RFC 8415 section 16.10.
			if d.Options.ClientID() != nil || d.Options.ServerID() == nil || d.GetOneOption(dhcpv6.OptionDHCP4oDHCP6Server) == nil {
				t.Errorf("%s", d.Summary())
			}
		}
	})
}

// TestAddresses: a server of its own has no addresses, and says so.
func TestAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		na := &dhcpv6.OptIANA{IaId: [4]byte{1, 2, 3, 4}}
		for _, c := range []struct {
			ask  ask
			want iana.StatusCode
		}{
			{ask{kind: dhcpv6.MessageTypeSolicit}, iana.StatusNoAddrsAvail},
			{ask{kind: dhcpv6.MessageTypeRequest, to: serverID}, iana.StatusNoAddrsAvail},
			{ask{kind: dhcpv6.MessageTypeRenew, to: serverID}, iana.StatusNoBinding},
			{ask{kind: dhcpv6.MessageTypeRelease, to: serverID}, iana.StatusNoBinding},
			{ask{kind: dhcpv6.MessageTypeDecline, to: serverID}, iana.StatusNoBinding},
		} {
			c.ask.more = []dhcpv6.Option{na, &dhcpv6.OptIATA{IaId: [4]byte{5}}}
			m := s.must(c.ask)
			got := m.Options.IANA()
			if len(got) != 1 || got[0].IaId != na.IaId || got[0].Options.Status() == nil || got[0].Options.Status().StatusCode != c.want {
				t.Errorf("%s: %s", c.ask.kind, m.Summary())
			}
			if ta := m.Options.IATA(); len(ta) != 1 || ta[0].Options.Status() == nil {
				t.Errorf("%s: %s", c.ask.kind, m.Summary())
			}
		}
	})
}

// TestServerIdentifier: without the server's identifier in the answer, as coredhcp
// has it without its plugin server_id, nothing is answered.
func TestServerIdentifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, testConfig(testPool()))
		req := ask{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}}.message()
		resp, err := dhcpv6.NewAdvertiseFromSolicit(req.(*dhcpv6.Message))
		if err != nil {
			t.Fatal(err)
		}
		if m, stop := s.server.Answer(t.Context(), "", req, resp); m != nil || !stop {
			t.Errorf("answered: %v", m)
		}
		if m, stop := s.server.Answer(t.Context(), "", req, nil); m != nil || stop {
			t.Errorf("answered what another handler dropped: %v", m)
		}
	})
}

// TestRates: a client and a link that send too much are not heard.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(testPool())
		c.ClientRate, c.LinkRate = 2, 10
		s := newScene(t, c)
		count := func(n int, each func(i int) ask) (answered int) {
			for i := range n {
				if s.send(each(i)) != nil {
					answered++
				}
			}
			return answered
		}
		solicit := ask{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}, link: "2001:db8::1", interfaceID: "port 1"}
		if got := count(100, func(int) ask { return solicit }); got != 4 {
			t.Errorf("%d of 100 messages of one client are answered", got)
		}
		if got := count(100, func(i int) ask {
			other := solicit
			other.from = client(uint32(100 + i))
			return other
		}); got > 20 || got == 0 {
			t.Errorf("%d of 100 messages of one port are answered", got)
		}
		if got := count(1, func(int) ask {
			other := solicit
			other.from, other.interfaceID = client(50), "port 2"
			return other
		}); got != 1 {
			t.Error("another port is not answered")
		}
	})
}
