package server

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// TestPools: which pool is whose.
func TestPools(t *testing.T) {
	pool := func(name, prefix string) Pool {
		p := testPool()
		p.Name, p.Prefixes = name, []netip.Prefix{netip.MustParsePrefix(prefix)}
		return p
	}
	byLink, byDevice, byPort, byRemote, anybody := pool("link", "2001:db8:1::/48"), pool("device", "2001:db8:2::/48"),
		pool("port", "2001:db8:3::/48"), pool("remote", "2001:db8:4::/48"), pool("anybody", "2001:db8:5::/48")
	byLink.Links = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
	byDevice.Interfaces = []string{"access0"}
	byPort.Links, byPort.InterfaceIDs = []netip.Prefix{netip.MustParsePrefix("2001:db8:b::/64")}, []string{"olt1/*", "olt2/7"}
	byRemote.RemoteIDs = []string{"gold*"}
	c := testConfig(byLink, byDevice, byPort, byRemote, anybody)
	for _, one := range []struct {
		name string
		ask  ask
		want string
	}{
		{"by link-address", ask{link: "2001:db8:a::1"}, "2001:db8:1::/48"},
		{"by device", ask{}, "2001:db8:2::/48"},
		{"by link and port", ask{link: "2001:db8:b::1", interfaceID: "olt1/3"}, "2001:db8:3::/48"},
		{"by link and another port", ask{link: "2001:db8:b::1", interfaceID: "olt2/7"}, "2001:db8:3::/48"},
		{"a port alone", ask{link: "2001:db8:c::1", interfaceID: "olt1/3"}, "2001:db8:5::/48"},
		{"nearly the port", ask{link: "2001:db8:b::1", interfaceID: "olt2/77"}, "2001:db8:5::/48"},
		{"by Remote-ID", ask{link: "2001:db8:c::1", remoteID: "gold 4"}, "2001:db8:4::/48"},
		{"the first of two", ask{link: "2001:db8:a::1", remoteID: "gold 4"}, "2001:db8:1::/48"},
		{"nobody's", ask{link: "2001:db8:c::1"}, "2001:db8:5::/48"},
	} {
		synctest.Test(t, func(t *testing.T) {
			one.ask.kind, one.ask.ias = dhcpv6.MessageTypeSolicit, [][]string{nil}
			m := newScene(t, c).must(one.ask)
			if got := delegated(m, 1); !netip.MustParsePrefix(one.want).Contains(got.Addr()) {
				t.Errorf("%s: %s, want one of %s", one.name, got, one.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		m := newScene(t, testConfig(byLink)).must(ask{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}, link: "2001:db8:c::1"})
		if statusOf(m, 1) != iana.StatusNoPrefixAvail {
			t.Errorf("at a link without a pool: %s", m.Summary())
		}
	})
}

// TestRelays: the relay that is closest to the client and has an address of the
// link says where it is (RFC 8415 section 13.1); the answer goes back the same way.
func TestRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := testPool(), testPool()
		near.Links = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
		far.Name, far.Prefixes = "far", []netip.Prefix{netip.MustParsePrefix("2001:db8:200::/48")}
		far.Links = []netip.Prefix{netip.MustParsePrefix("2001:db8:b::/64")}
		s := newScene(t, testConfig(near, far))
		d := ask{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}}.message()
		for i, link := range []string{"::", "2001:db8:a::1", "2001:db8:b::1"} {
			relay, err := dhcpv6.EncapsulateRelay(d, dhcpv6.MessageTypeRelayForward, netip.MustParseAddr(link).AsSlice(), netip.MustParseAddr("fe80::1").AsSlice())
			if err != nil {
				t.Fatal(err)
			}
			relay.AddOption(dhcpv6.OptInterfaceID([]byte{byte(i)}))
			d = relay
		}
		answer := s.server.Respond(t.Context(), "", Identifier(serverID), d.ToBytes())
		got, err := dhcpv6.FromBytes(answer)
		if err != nil {
			t.Fatal(err)
		}
		m, err := got.GetInnerMessage()
		if err != nil {
			t.Fatal(err)
		}
		if prefix := delegated(m, 1); !near.holds(prefix) {
			t.Errorf("delegated %s", prefix)
		}
		for i := range 3 {
			relay, ok := got.(*dhcpv6.RelayMessage)
			if !ok || relay.MessageType != dhcpv6.MessageTypeRelayReply || relay.Options.InterfaceID()[0] != byte(2-i) {
				t.Fatalf("relay %d: %s", i, got.Summary())
			}
			got = relay.Options.RelayMessage()
		}
	})
}

// TestIdentity: a line keeps its prefix when its CPE is replaced, and its softwire
// with it; a relay that does not say which line it is gets no answer.
func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		identity    Identity
		here, there ask
	}{
		{ByInterfaceID, ask{link: "2001:db8:a::1", interfaceID: "1"}, ask{link: "2001:db8:b::1", interfaceID: "1"}},
		{ByRemoteID, ask{link: "2001:db8:a::1", remoteID: "1"}, ask{link: "2001:db8:a::1", remoteID: "2"}},
	} {
		t.Run(string(c.identity), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := testConfig(testPool())
				config.Identity = c.identity
				s := newScene(t, config)
				request := func(a ask, from dhcpv6.DUID) *dhcpv6.Message {
					t.Helper()
					a.kind, a.to, a.from, a.ias, a.oro = dhcpv6.MessageTypeRequest, serverID, from, [][]string{nil}, lw
					return s.must(a)
				}
				first := request(c.here, client(1))
				if other := request(c.there, client(1)); delegated(other, 1) == delegated(first, 1) {
					t.Error("another line has the same prefix")
				}
				next := request(c.here, client(2))
				if delegated(next, 1) != delegated(first, 1) || container(t, next).String() != container(t, first).String() {
					t.Errorf("the new CPE: %s", next.Summary())
				}
				if m := s.send(ask{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}, link: "2001:db8:a::1"}); m != nil {
					t.Errorf("a line that is not known: %s", m.Summary())
				}
			})
		})
	}
}

// TestIdentityChanged: with another identity every client is a new one. What it had
// lasts until it expires, and counts for its line; with the identity of before it has
// that again.
func TestIdentityChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool()
		p.Quota, p.LineQuota = 2, 2
		config := testConfig(p)
		s := newScene(t, config)
		request := ask{kind: dhcpv6.MessageTypeRequest, to: serverID, ias: [][]string{nil}, oro: lw, link: "2001:db8:a::1", interfaceID: "1"}
		first := s.must(request)
		mine := delegated(first, 1)
		renewal := renew(mine)
		renewal.link, renewal.interfaceID = request.link, request.interfaceID

		config.Identity = ByInterfaceID
		s = s.restart(config)
		if m := s.must(renewal); statusOf(m, 1) != iana.StatusNoBinding {
			t.Errorf("renewed: %s", m.Summary())
		}
		request.ias = [][]string{{mine.String()}}
		other := s.must(request)
		if prefix := delegated(other, 1); !p.holds(prefix) || prefix == mine || container(t, other).String() == container(t, first).String() {
			t.Errorf("asked again: %s", other.Summary())
		}
		request.ias = [][]string{nil, nil}
		if m := s.must(request); statusOf(m, 2) != iana.StatusNoPrefixAvail {
			t.Errorf("more than the line's quota: %s", m.Summary())
		}

		config.Identity = ByDUID
		s = s.restart(config)
		if m := s.must(renewal); delegated(m, 1) != mine || container(t, m).String() != container(t, first).String() {
			t.Errorf("back again: %s", m.Summary())
		}
		config.Identity = ByInterfaceID
		s = s.restart(config)
		time.Sleep(3 * p.ValidLifetime)
		if given := s.source.releases(); !slices.Contains(given, mine) {
			t.Errorf("nobody gives back the softwire of %s: %s", mine, given)
		}
	})
}

// TestMoved: a client that has moved to a link with other prefixes gets one of them
// when it asks, with its softwire, and is told that its own is gone (RFC 8415 section
// 18.3.4). If there is none it is told that alone.
func TestMoved(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  ask
		gone bool // is told
		full bool // nothing is left at the new link
	}{
		{name: "Solicit", ask: ask{kind: dhcpv6.MessageTypeSolicit}},
		{name: "Request", ask: ask{kind: dhcpv6.MessageTypeRequest, to: serverID}},
		{name: "Renew", ask: ask{kind: dhcpv6.MessageTypeRenew, to: serverID}, gone: true},
		{name: "Rebind", ask: ask{kind: dhcpv6.MessageTypeRebind}, gone: true},
		{name: "Renew with nothing left", ask: ask{kind: dhcpv6.MessageTypeRenew, to: serverID}, gone: true, full: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := testPool(), testPool()
				a.Links = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
				b.Name, b.Prefixes = "b", []netip.Prefix{netip.MustParsePrefix("2001:db8:200::/56")}
				b.Links = []netip.Prefix{netip.MustParsePrefix("2001:db8:b::/64")}
				s := newScene(t, testConfig(a, b))
				request := ask{kind: dhcpv6.MessageTypeRequest, to: serverID, ias: [][]string{nil}, oro: lw, link: "2001:db8:a::1"}
				mine := delegated(s.must(request), 1)
				if c.full {
					request.from, request.link = client(2), "2001:db8:b::1"
					s.must(request)
				}
				c.ask.ias, c.ask.oro, c.ask.link = [][]string{{mine.String()}}, lw, "2001:db8:b::1"
				m := s.must(c.ask)
				if got := delegated(m, 1); b.holds(got) == c.full || (container(t, m) == nil) != c.full || statusOf(m, 1) != iana.StatusSuccess {
					t.Errorf("%s", m.Summary())
				}
				if !c.full && container(t, m).Bind.Prefix != b.Prefixes[0] {
					t.Errorf("a softwire of another prefix: %s", m.Summary())
				}
				gone := slices.ContainsFunc(m.Options.OneIAPD().Options.Prefixes(), func(p *dhcpv6.OptIAPrefix) bool {
					return p.Prefix.String() == mine.String() && p.ValidLifetime == 0 && p.PreferredLifetime == 0
				})
				if gone != c.gone {
					t.Errorf("told that %s is gone: %t\n%s", mine, gone, m.Summary())
				}
			})
		})
	}
}
