package server

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// TestOptions: what is asked for and configured is told, and nothing else, in every
// exchange.
func TestOptions(t *testing.T) {
	const name, pcp, dhcp4o6, brs, container, priority, dns = dhcpv6.OptionAFTRName, dhcpv6.OptionV6PCPServer,
		dhcpv6.OptionDHCP4oDHCP6Server, dhcpv6.OptionS46BR, dhcpv6.OptionS46ContLW, dhcpv6.OptionS46Priority, dhcpv6.OptionDNSRecursiveNameServer
	all := []dhcpv6.OptionCode{name, pcp, dhcp4o6, brs, container, priority, dns}
	full := func(m Mechanism) Pool {
		p := testPool()
		p.Mechanism, p.BR = m, br
		p.PCPServers = []netip.Addr{br}
		p.DHCP4o6 = true
		p.Priority = []uint16{96, 64}
		p.DNSServers = []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("2001:db8::54")}
		return p
	}
	named := full(ByPCP)
	named.AFTRName = "aftr.example.com"
	for _, c := range []struct {
		name string
		pool Pool
		oro  []dhcpv6.OptionCode
		want []dhcpv6.OptionCode
	}{
		{"DHCPv6", full(ByDHCPv6), all, []dhcpv6.OptionCode{dns, pcp, dhcp4o6, brs, container, priority}},
		{"PCP", named, all, []dhcpv6.OptionCode{dns, name, pcp, dhcp4o6, brs, priority}},
		{"no softwires", full(ByNone), all, []dhcpv6.OptionCode{dns, pcp, dhcp4o6, brs, priority}},
		{"nothing asked", full(ByDHCPv6), nil, nil},
		{"other things asked", full(ByDHCPv6), []dhcpv6.OptionCode{24, 94, 95}, nil},
		{"asked twice", full(ByDHCPv6), append(all, all...), []dhcpv6.OptionCode{dns, pcp, dhcp4o6, brs, container, priority}},
		{"nothing configured", testPool(), all, []dhcpv6.OptionCode{brs, container}},
		{"the container alone", full(ByDHCPv6), lw, []dhcpv6.OptionCode{container}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, testConfig(c.pool))
				told := func(a ask) {
					t.Helper()
					a.oro = c.oro
					m := s.must(a)
					var got []dhcpv6.OptionCode
					for _, o := range m.Options.Options {
						if slices.Contains(all, o.Code()) || o.Code() > 85 {
							got = append(got, o.Code())
						}
					}
					slices.Sort(got)
					if !slices.Equal(got, c.want) {
						t.Errorf("%s: %v, want %v", a.kind, got, c.want)
					}
					if slices.Contains(c.want, dns) && fmt.Sprint(m.Options.DNS()) != "[2001:db8::53 2001:db8::54]" {
						t.Errorf("%s: name servers %v", a.kind, m.Options.DNS())
					}
				}
				told(ask{kind: dhcpv6.MessageTypeSolicit, ias: [][]string{nil}})
				told(ask{kind: dhcpv6.MessageTypeRequest, to: serverID, ias: [][]string{nil}})
				prefix := s.server.keeper.Held(string(clientID.ToBytes()))[0].Prefix.String()
				told(ask{kind: dhcpv6.MessageTypeRenew, to: serverID, ias: [][]string{{prefix}}})
				told(ask{kind: dhcpv6.MessageTypeRebind, ias: [][]string{{prefix}}})
				told(ask{kind: dhcpv6.MessageTypeInformationRequest})
				if m := s.must(ask{kind: dhcpv6.MessageTypeRelease, to: serverID, ias: [][]string{{prefix}}, oro: c.oro}); slices.ContainsFunc(m.Options.Options, func(o dhcpv6.Option) bool { return o.Code() > 63 }) {
					t.Errorf("a Release: %s", m.Summary())
				}
			})
		})
	}
}

// TestPreference: an Advertise, and nothing else, says how much the server is to be
// preferred (RFC 8415 section 18.3.9), where that is configured.
func TestPreference(t *testing.T) {
	for _, want := range []int{0, 1, 255} {
		synctest.Test(t, func(t *testing.T) {
			c := testConfig(testPool())
			c.Preference = want
			s := newScene(t, c)
			told := func(a ask) []byte {
				t.Helper()
				a.ias = [][]string{nil}
				if o := s.must(a).GetOneOption(dhcpv6.OptionPreference); o != nil {
					return o.ToBytes()
				}
				return nil
			}
			if got := told(ask{kind: dhcpv6.MessageTypeSolicit}); want == 0 && got != nil || want > 0 && !slices.Equal(got, []byte{byte(want)}) {
				t.Errorf("%d: the Advertise says %v", want, got)
			}
			if got := told(ask{kind: dhcpv6.MessageTypeRequest, to: serverID}); got != nil {
				t.Errorf("%d: the Reply says %v", want, got)
			}
		})
	}
}

// TestAFTRNameBeside: the name is told beside the container only where the operator
// says so.
func TestAFTRNameBeside(t *testing.T) {
	for _, always := range []bool{false, true} {
		t.Run(fmt.Sprint(always), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := testPool()
				p.Mechanism, p.BR, p.AFTRName, p.AFTRNameAlways = ByPCP, br, "aftr.example.com", always
				s := newScene(t, testConfig(p))
				prefix := p.Prefixes[0].Addr()
				// The subscriber has a softwire by PCP already.
				w := Want{Prefix: netip.PrefixFrom(prefix, 56), Lifetime: 1}
				g, err := s.source.grant(w, false)
				if err != nil {
					t.Fatal(err)
				}
				g.Foreign = true
				s.source.foreign[w.Prefix] = g
				m := s.must(ask{
					kind: dhcpv6.MessageTypeRequest, to: serverID, ias: [][]string{{w.Prefix.String()}},
					oro: []dhcpv6.OptionCode{dhcpv6.OptionAFTRName, dhcpv6.OptionS46ContLW},
				})
				if container(t, m) == nil || (m.GetOneOption(dhcpv6.OptionAFTRName) != nil) != always {
					t.Errorf("%s", m.Summary())
				}
			})
		})
	}
}

// TestOthersOptions: what another handler has put into the answer stays.
func TestOthersOptions(t *testing.T) {
	p := testPool()
	p.BR = br
	other := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionS46BR, OptionData: make([]byte, 16)}
	to := &dhcpv6.Message{}
	to.AddOption(other)
	told{pool: &p}.add([]dhcpv6.OptionCode{dhcpv6.OptionS46BR}, to)
	if len(to.Options.Options) != 1 || to.Options.Options[0] != dhcpv6.Option(other) {
		t.Errorf("%s", to.Summary())
	}
}
