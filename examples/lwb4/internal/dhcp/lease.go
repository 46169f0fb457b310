// Package dhcp owns the CPE's DHCPv6 client (RFC 8415): one prefix is delegated to it
// (IA_PD), and with that comes what the carrier says of the softwire (RFC 7598, RFC
// 6334, RFC 8026).
//
// machine is when to send what and what an answer means, without I/O; Client runs it
// on a socket. What the carrier says is valid as long as the prefix is (RFC 7598
// section 3).
package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
)

// Lease is what a server gave.
type Lease struct {
	Prefix netip.Prefix // delegated
	Until  time.Time    // when it ends, and all that follows
	// Softwire is the container of Lightweight 4over6, nil if there is none.
	Softwire *s46.LW
	// AFTRName is the name of an lwAFTR to ask, empty if there is none.
	AFTRName string
	// Priority is the carrier's order of mechanisms, empty if it says nothing.
	Priority []dhcpv6.OptionCode
	// DNS are name servers.
	DNS []netip.Addr
}

// none says that nothing is leased.
func (l Lease) none() bool { return !l.Prefix.IsValid() }

// Equal says whether two leases differ in nothing but the time.
func (l Lease) Equal(o Lease) bool {
	same := func(a, b *s46.LW) bool {
		return a == b || a != nil && b != nil && slices.Equal(a.ToBytes(), b.ToBytes())
	}
	return l.Prefix == o.Prefix && same(l.Softwire, o.Softwire) && l.AFTRName == o.AFTRName &&
		slices.Equal(l.Priority, o.Priority) && slices.Equal(l.DNS, o.DNS)
}

// The reasons for which an answer is not used.
var (
	ErrStranger  = errors.New("not an answer to what was sent")
	ErrStatus    = errors.New("the server refuses")
	ErrNoPrefix  = errors.New("no usable prefix")
	ErrLifetimes = errors.New("lifetimes that contradict each other")
)

// requested is what the client asks for (RFC 8415 section 21.7).
func requested() []dhcpv6.OptionCode {
	return []dhcpv6.OptionCode{
		dhcpv6.OptionS46ContLW, dhcpv6.OptionAFTRName, dhcpv6.OptionS46Priority,
		dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionSolMaxRT,
	}
}

// grant is a lease with the times of the client.
type grant struct {
	Lease
	t1, t2 time.Duration
	valid  time.Duration
}

// read takes a lease out of an Advertise or Reply. What is wrong with the options of
// the softwire is no fault of the prefix: they are taken from before, and the
// second error says what is wrong.
func read(m *dhcpv6.Message, iaid [4]byte, before Lease) (g grant, odd, err error) {
	if s := m.Options.Status(); s != nil && s.StatusCode != 0 {
		return g, nil, fmt.Errorf("%w: %s %.60q", ErrStatus, s.StatusCode, s.StatusMessage)
	}
	g, err = readPrefix(m, iaid)
	if err != nil {
		return g, nil, err
	}
	odd = g.readSoftwire(m, before)
	for _, ip := range m.Options.DNS() {
		if a, ok := netip.AddrFromSlice(ip); ok && len(g.DNS) < maxServers {
			g.DNS = append(g.DNS, a.Unmap())
		}
	}
	return g, odd, nil
}

// maxServers bounds how many name servers are used.
const maxServers = 4

// readPrefix takes the delegated prefix.
func readPrefix(m *dhcpv6.Message, iaid [4]byte) (g grant, err error) {
	for _, ia := range m.Options.IAPD() {
		if ia.IaId != iaid {
			continue
		}
		if s := ia.Options.Status(); s != nil && s.StatusCode != 0 {
			return g, fmt.Errorf("%w: %s %.60q", ErrStatus, s.StatusCode, s.StatusMessage)
		}
		// RFC 8415 section 21.21: "T1 greater than T2 and both T1 and T2 are greater
		// than 0, the client discards the IA_PD option".
		if ia.T1 > ia.T2 && ia.T2 > 0 {
			return g, fmt.Errorf("%w: T1 %s, T2 %s", ErrLifetimes, ia.T1, ia.T2)
		}
		for _, p := range ia.Options.Prefixes() {
			// RFC 8415 section 21.22: "The client MUST discard any prefixes for which the
			// preferred lifetime is greater than the valid lifetime."
			if p.PreferredLifetime > p.ValidLifetime {
				err = fmt.Errorf("%w: preferred for %s, valid for %s", ErrLifetimes, p.PreferredLifetime, p.ValidLifetime)
				continue
			}
			prefix, ok := prefixOf(p)
			if !ok || p.ValidLifetime <= 0 {
				continue
			}
			g.Prefix, g.valid = prefix, p.ValidLifetime
			g.t1, g.t2 = times(ia.T1, ia.T2, p.PreferredLifetime, p.ValidLifetime)
			return g, nil
		}
	}
	if err == nil {
		err = ErrNoPrefix
	}
	return g, err
}

// prefixOf is a prefix that a CPE can take an address from.
func prefixOf(p *dhcpv6.OptIAPrefix) (netip.Prefix, bool) {
	if p.Prefix == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(p.Prefix.IP)
	ones, bits := p.Prefix.Mask.Size()
	if !ok || bits != 128 || ones < 16 || ones > 64 || !a.Is6() || a.Is4In6() || !a.IsGlobalUnicast() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, ones).Masked(), true
}

// times are T1 and T2, where a server leaves them to the client (RFC 8415 section
// 14.2), and neither after the end.
func times(t1, t2, preferred, valid time.Duration) (time.Duration, time.Duration) {
	base := preferred
	if base == 0 {
		base = valid
	}
	if t1 == 0 {
		t1 = base / 2
	}
	if t2 == 0 {
		t2 = base * 4 / 5
	}
	t2 = min(max(t2, leastRenewal), valid)
	return min(max(t1, leastRenewal), t2), t2
}

// leastRenewal is what a smaller T1 is taken for.
const leastRenewal = 5 * time.Second

// readSoftwire takes the options about softwires. One that is malformed leaves what
// was there before.
func (g *grant) readSoftwire(m *dhcpv6.Message, before Lease) error {
	var errs []error
	parsed := func(code dhcpv6.OptionCode) s46.Option {
		raw := m.GetOneOption(code)
		if raw == nil {
			return nil
		}
		o, err := s46.Parse(code, raw.ToBytes())
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		return o
	}
	keep := before.Prefix == g.Prefix
	if o, ok := parsed(dhcpv6.OptionS46ContLW).(*s46.LW); ok {
		g.Softwire = o
	} else if len(errs) > 0 && keep {
		g.Softwire = before.Softwire
	}
	wrong := len(errs)
	if o, ok := parsed(dhcpv6.OptionAFTRName).(*s46.AFTRName); ok {
		g.AFTRName = o.Name
	} else if len(errs) > wrong && keep {
		g.AFTRName = before.AFTRName
	}
	if o, ok := parsed(dhcpv6.OptionS46Priority).(*s46.Priority); ok {
		g.Priority = o.Codes
	}
	return errors.Join(errs...)
}
