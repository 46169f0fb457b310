package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/tunnel"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// The reasons for which a lease offers no softwire.
var (
	ErrNoSoftwire = errors.New("the carrier tells of no softwire that lwb4 can have")
	ErrBindPrefix = errors.New("the softwire is bound to a prefix that was not delegated")
	ErrBR         = errors.New("not an address that an lwAFTR can have")
	ErrSource     = errors.New("not an address that a lwB4 can have")
)

// mechanisms are those that there are here, in the order that counts if the carrier
// has none: what needs nobody to be asked comes first.
var mechanisms = []dhcpv6.OptionCode{dhcpv6.OptionS46ContLW, dhcpv6.OptionAFTRName}

// mechanism is the one to use of those that the lease has, 0 if there is none. RFC
// 8026 section 1.4: "the client MUST use the first mechanism in the list that it
// supports" and that it was told the parameters of.
func (l Lease) mechanism() dhcpv6.OptionCode {
	has := map[dhcpv6.OptionCode]bool{
		dhcpv6.OptionS46ContLW: l.Softwire != nil,
		dhcpv6.OptionAFTRName:  l.AFTRName != "",
	}
	for _, code := range slices.Concat(l.Priority, mechanisms) {
		if has[code] {
			return code
		}
	}
	return 0
}

// Name is the lwAFTR whose address has to be looked up to know the offers, empty if
// there is none.
func (l Lease) Name() string {
	if l.mechanism() == dhcpv6.OptionAFTRName {
		return l.AFTRName
	}
	return ""
}

// Offers is what the lease offers. The addresses are those of Name. The error says
// what is wrong with what the carrier says.
func (l Lease) Offers(addresses []netip.Addr) ([]provision.Offer, error) {
	if l.none() {
		return nil, nil
	}
	switch l.mechanism() {
	case dhcpv6.OptionS46ContLW:
		if l.Softwire.Bind == nil {
			// The container may name the lwAFTR alone: the rest is to be asked for.
			return l.ask(brs(l.Softwire))
		}
		return l.bound()
	case dhcpv6.OptionAFTRName:
		return l.ask(addresses)
	}
	return nil, ErrNoSoftwire
}

func brs(o *s46.LW) (all []netip.Addr) {
	for _, br := range o.BRs {
		all = append(all, br.Address)
	}
	return all
}

// ask offers lwAFTRs that are to be asked, from the first address of the prefix.
func (l Lease) ask(aftrs []netip.Addr) (offers []provision.Offer, err error) {
	b4 := l.Prefix.Addr().Next()
	for _, br := range aftrs {
		if !tunnel.End(br) || br == b4 {
			err = errors.Join(err, fmt.Errorf("%w: %s", ErrBR, br))
			continue
		}
		offers = append(offers, provision.Offer{Ends: assign.Ends{B4: b4, BR: br}, Until: l.Until})
	}
	return offers, err
}

// bound offers the softwire that the container tells of.
func (l Lease) bound() ([]provision.Offer, error) {
	bind := l.Softwire.Bind
	set, err := bind.PortSet()
	if err != nil {
		return nil, err
	}
	ports := assign.Ports{IPv4: bind.IPv4, Sets: []portset.PortSet{set}}
	if err := ports.Validate(); err != nil {
		return nil, err
	}
	subnet, ok := l.subnet(bind.Prefix)
	if !ok {
		return nil, fmt.Errorf("%w: %s, delegated is %s", ErrBindPrefix, bind.Prefix, l.Prefix)
	}
	b4, err := softwire.TunnelAddress(subnet, bind.IPv4, set)
	if err != nil {
		return nil, err
	}
	if !tunnel.End(b4) {
		return nil, fmt.Errorf("%w: %s", ErrSource, b4)
	}
	offers, err := l.ask(brs(l.Softwire))
	for i := range offers {
		offers[i].Ends.B4, offers[i].Ports = b4, ports
	}
	return offers, err
}

// subnet is what the tunnel address is made in. RFC 7596 section 5.1: "the lwB4
// performs a longest-prefix match between the IPv6 binding prefix and its currently
// active IPv6 prefixes. The result forms the subnet".
func (l Lease) subnet(bind netip.Prefix) (netip.Prefix, bool) {
	switch {
	case !bind.Overlaps(l.Prefix):
		return netip.Prefix{}, false
	case bind.Bits() > l.Prefix.Bits():
		return bind, true
	}
	return l.Prefix, true
}
