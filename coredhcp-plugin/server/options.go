package server

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// told is what a client is told of softwires.
type told struct {
	pool *Pool
	// softwire is the client's; the zero value if it has none. It goes with prefix,
	// which is delegated to it.
	softwire softwire.Softwire
	prefix   netip.Prefix
	until    time.Time // of the softwire; zero is never, or not known
}

// add adds the options that were asked for and that there are. RFC 7598 section 7:
// "a server will not reply with a Softwire46 container option if the client has not
// explicitly enumerated one in its ORO".
func (t told) add(asked dhcpv6.OptionCodes, to *dhcpv6.Message) {
	for _, code := range asked {
		if to.GetOneOption(code) != nil {
			continue // asked for twice, or another handler's
		}
		if o := t.option(code, asked); o != nil {
			to.AddOption(o)
		}
	}
}

// option is the one with a code, nil if the client is not told that.
func (t told) option(code dhcpv6.OptionCode, asked dhcpv6.OptionCodes) dhcpv6.Option {
	p := t.pool
	switch code {
	case dhcpv6.OptionS46ContLW:
		if t.softwire.IPv4.IsValid() {
			return sound(s46.NewLW(t.softwire.BR, t.softwire.IPv4, t.softwire.PortSet, t.bindPrefix()))
		}
	case dhcpv6.OptionS46BR:
		switch {
		case t.softwire.BR.IsValid():
			return sound(&s46.BR{Address: t.softwire.BR})
		case p.BR.IsValid():
			return &s46.BR{Address: p.BR}
		}
	case dhcpv6.OptionAFTRName:
		// RFC 8026 section 2.2: "provision them with configuration for a single softwire
		// mechanism".
		beside := t.softwire.IPv4.IsValid() && slices.Contains(asked, dhcpv6.OptionS46ContLW)
		if p.AFTRName != "" && (!beside || p.AFTRNameAlways) {
			return &s46.AFTRName{Name: p.AFTRName}
		}
	case dhcpv6.OptionV6PCPServer:
		if len(p.PCPServers) > 0 {
			return &s46.PCPServer{Addresses: p.PCPServers}
		}
	case dhcpv6.OptionDHCP4oDHCP6Server:
		if p.DHCP4o6 {
			return &s46.DHCP4o6Servers{Addresses: p.DHCP4o6Servers}
		}
	case dhcpv6.OptionS46Priority:
		if len(p.Priority) > 0 {
			return p.priority()
		}
	case dhcpv6.OptionDNSRecursiveNameServer:
		if len(p.DNSServers) > 0 {
			servers := make([]net.IP, 0, len(p.DNSServers))
			for _, a := range p.DNSServers {
				servers = append(servers, a.AsSlice())
			}
			return dhcpv6.OptDNS(servers...)
		}
	}
	return nil
}

// sound is o, nil if it is none that can be sent.
func sound(o s46.Option) dhcpv6.Option {
	if o.Validate() != nil {
		return nil
	}
	return o
}

// bindPrefix is what the lwB4 makes its tunnel address in: its prefix, which some
// CPEs look for, or the address itself if it is another one than they would make.
func (t told) bindPrefix() netip.Prefix {
	own, err := softwire.TunnelAddress(t.prefix, t.softwire.IPv4, t.softwire.PortSet)
	if err == nil && own == t.softwire.B4 {
		return t.prefix
	}
	return netip.PrefixFrom(t.softwire.B4, 128)
}
