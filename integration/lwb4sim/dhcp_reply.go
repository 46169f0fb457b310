package lwb4sim

import (
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// statusError is a status code other than success.
type statusError iana.StatusCode

func (e statusError) Error() string { return "refused with " + iana.StatusCode(e).String() }

// delegated is the one prefix that a message delegates. The error may be a
// statusError.
func delegated(m *dhcpv6.Message) (*dhcpv6.OptIAPD, *dhcpv6.OptIAPrefix, error) {
	for _, status := range []*dhcpv6.OptStatusCode{m.Options.Status(), statusOf(m.Options.OneIAPD())} {
		if status != nil && status.StatusCode != iana.StatusSuccess {
			return nil, nil, statusError(status.StatusCode)
		}
	}
	all := m.Options.IAPD()
	if len(all) != 1 || all[0].IaId != iaid {
		return nil, nil, fmt.Errorf("%d of IA_PD, or not the one that was asked for", len(all))
	}
	var valid []*dhcpv6.OptIAPrefix
	for _, prefix := range all[0].Options.Prefixes() {
		if prefix.ValidLifetime > 0 {
			valid = append(valid, prefix)
		}
	}
	if len(valid) != 1 || valid[0].Prefix == nil {
		return nil, nil, fmt.Errorf("%d prefixes in an IA_PD", len(valid))
	}
	return all[0], valid[0], nil
}

func statusOf(ia *dhcpv6.OptIAPD) *dhcpv6.OptStatusCode {
	if ia == nil {
		return nil
	}
	return ia.Options.Status()
}

// provisioned is what a lwB4 holds by a Reply that delegates a prefix: maybe the
// prefix alone, and why.
func provisioned(m *dhcpv6.Message, delegated *dhcpv6.OptIAPrefix) (Holding, error) {
	bits, _ := delegated.Prefix.Mask.Size()
	h := Holding{Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte(delegated.Prefix.IP.To16())), bits)}
	containers := m.Options.Get(dhcpv6.OptionS46ContLW)
	if len(containers) != 1 {
		return h, fmt.Errorf("%d softwires", len(containers))
	}
	var lw s46.LW
	if err := lw.FromBytes(containers[0].ToBytes()); err != nil {
		return h, err
	}
	if lw.Bind == nil || lw.Bind.Prefix != h.Prefix {
		return h, fmt.Errorf("%s is not for the prefix %s", &lw, h.Prefix)
	}
	set, err := lw.Bind.PortSet()
	if err != nil {
		return h, err
	}
	tunnel, err := softwire.TunnelAddress(h.Prefix, lw.Bind.IPv4, set)
	if err != nil {
		return h, err
	}
	h.LwB4, h.Held, h.IPv4, h.PortSet = tunnel, true, lw.Bind.IPv4, set
	return h, nil
}
