package server

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Pool is prefixes for the clients of some links, and what these are told.
type Pool struct {
	delegation.Pool
	// Links, Interfaces, InterfaceIDs and RemoteIDs say whose pool it is: those who
	// meet one of each that is there. A pool without any is for those who have no
	// other. Links are of the relay's link-address, Interfaces of the server for
	// clients without a relay. IDs are a relay's; a * at the end stands for anything.
	Links        []netip.Prefix `yaml:"links"`
	Interfaces   []string       `yaml:"interfaces"`
	InterfaceIDs []string       `yaml:"interface-ids"`
	RemoteIDs    []string       `yaml:"remote-ids"`

	// Mechanism is how subscribers come to their softwire.
	Mechanism Mechanism `yaml:"mechanism"`
	// SoftwirePool is the IPv4 pool that softwires are drawn from, or empty.
	SoftwirePool string `yaml:"softwire-pool"`
	// BR is the BR address of that pool, for what is checked against it, and for
	// clients that ask for OPTION_S46_BR alone (RFC 8539 section 4.1).
	BR netip.Addr `yaml:"br-ipv6-addr"`
	// AFTRName is OPTION_AFTR_NAME (64), for subscribers of PCP. It is not sent beside
	// OPTION_S46_CONT_LW unless AFTRNameAlways.
	AFTRName       string `yaml:"aftr-name"`
	AFTRNameAlways bool   `yaml:"aftr-name-always"`
	// PCPServers are the addresses of the PCP server, OPTION_V6_PCP_SERVER (86).
	PCPServers []netip.Addr `yaml:"pcp-servers"`
	// DNSServers are recursive name servers, OPTION_DNS_SERVERS (23, RFC 3646).
	DNSServers []netip.Addr `yaml:"dns-servers"`
	// DHCP4o6 has OPTION_DHCP4_O_DHCP6_SERVER (88) sent, with DHCP4o6Servers.
	DHCP4o6        bool         `yaml:"dhcp4o6"`
	DHCP4o6Servers []netip.Addr `yaml:"dhcp4o6-servers"`
	// Priority is OPTION_S46_PRIORITY (111): codes of options, best first.
	Priority []uint16 `yaml:"priority"`
}

// Mechanism is how the subscribers of a Pool come to their softwire.
type Mechanism string

// The mechanisms.
const (
	ByDHCPv6 Mechanism = "dhcpv6" // OPTION_S46_CONT_LW
	ByPCP    Mechanism = "pcp"    // they ask the lwAFTR
	ByNone   Mechanism = "none"   // they have none
)

// SetDefaults fills in what a configuration file may leave out.
func (p *Pool) SetDefaults() {
	p.Pool.SetDefaults()
	p.Mechanism = ByDHCPv6
}

// maxSelectors bounds each list of a Pool.
const maxSelectors = 4096

// Validate reports what is wrong with p.
func (p Pool) Validate() error {
	errs := []error{p.Pool.Validate()}
	fail := func(at, format string, args ...any) { errs = append(errs, element.Errorf(at, format, args...)) }
	for i, l := range p.Links {
		if !l.IsValid() || !l.Addr().Is6() || l != l.Masked() {
			fail(element.Item("links", i), "%s is not an IPv6 prefix, masked", l)
		}
	}
	for _, list := range []struct {
		key  string
		size int
	}{
		{"links", len(p.Links)}, {"interfaces", len(p.Interfaces)}, {"interface-ids", len(p.InterfaceIDs)},
		{"remote-ids", len(p.RemoteIDs)}, {"pcp-servers", len(p.PCPServers)}, {"dhcp4o6-servers", len(p.DHCP4o6Servers)}, {"dns-servers", len(p.DNSServers)},
	} {
		if list.size > maxSelectors {
			fail(list.key, "%d items; at most %d are allowed", list.size, maxSelectors)
		}
	}
	if p.Mechanism != ByDHCPv6 && p.Mechanism != ByPCP && p.Mechanism != ByNone {
		fail("mechanism", "%q is not a mechanism; use %s, %s or %s", p.Mechanism, ByDHCPv6, ByPCP, ByNone)
	}
	if p.BR.IsValid() && (!p.BR.Is6() || p.BR.Is4In6() || !p.BR.IsGlobalUnicast()) {
		fail("br-ipv6-addr", "%s is not a global IPv6 unicast address", p.BR)
	}
	for i, a := range p.DNSServers {
		if !a.Is6() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			fail(element.Item("dns-servers", i), "%s is not the IPv6 address of a name server", a)
		}
	}
	if p.AFTRName != "" {
		switch {
		case p.Mechanism != ByPCP:
			fail("aftr-name", "is for subscribers of PCP: set mechanism to %s", ByPCP)
		case !p.BR.IsValid():
			fail("aftr-name", "must be the name of a BR address: set br-ipv6-addr")
		}
	}
	if len(p.DHCP4o6Servers) > 0 && !p.DHCP4o6 {
		fail("dhcp4o6-servers", "are not sent: set dhcp4o6")
	}
	for _, o := range []struct {
		key    string
		option s46.Option
		unset  bool
	}{
		{"aftr-name", &s46.AFTRName{Name: p.AFTRName}, p.AFTRName == ""},
		{"pcp-servers", &s46.PCPServer{Addresses: p.PCPServers}, len(p.PCPServers) == 0},
		{"dhcp4o6-servers", &s46.DHCP4o6Servers{Addresses: p.DHCP4o6Servers}, len(p.DHCP4o6Servers) == 0},
		{"priority", p.priority(), len(p.Priority) == 0},
	} {
		if o.unset {
			continue
		}
		if err := o.option.Validate(); err != nil {
			fail(o.key, "%w", err)
		}
	}
	return errors.Join(errs...)
}

func (p Pool) priority() *s46.Priority {
	o := &s46.Priority{}
	for _, code := range p.Priority {
		o.Codes = append(o.Codes, dhcpv6.OptionCode(code))
	}
	return o
}

// serves says whether p is for clients at a link, and whether that is because p
// says so.
func (p Pool) serves(at link) (serves, chosen bool) {
	for _, s := range []struct{ is, meets bool }{
		{len(p.Links) > 0, slices.ContainsFunc(p.Links, func(l netip.Prefix) bool { return l.Contains(at.address) })},
		{len(p.Interfaces) > 0, !at.relayed && slices.Contains(p.Interfaces, at.device)},
		{len(p.InterfaceIDs) > 0, matches(p.InterfaceIDs, at.interfaceID)},
		{len(p.RemoteIDs) > 0, matches(p.RemoteIDs, at.remoteID)},
	} {
		if s.is && !s.meets {
			return false, false
		}
		chosen = chosen || s.is
	}
	return true, chosen
}

// matches says whether an ID of a relay is one of those, which may end with a *.
func matches(ids []string, id string) bool {
	return id != "" && slices.ContainsFunc(ids, func(s string) bool {
		start, any := strings.CutSuffix(s, "*")
		return s == id || any && strings.HasPrefix(id, start)
	})
}

// holds says whether a prefix is in p.
func (p Pool) holds(prefix netip.Prefix) bool {
	return slices.ContainsFunc(p.Prefixes, func(of netip.Prefix) bool {
		return of.Bits() <= prefix.Bits() && of.Contains(prefix.Addr())
	})
}
