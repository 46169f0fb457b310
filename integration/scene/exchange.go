package scene

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// provisionCPE starts a CPE, and tells what it and the carrier say to each other
// meanwhile, as it is on the wire.
func (s *Scene) provisionCPE(ctx context.Context, number int) error {
	wire, err := s.Access.Capture(AccessCPE(number))
	if err != nil {
		return err
	}
	defer wire.Close()
	if err := s.StartCPE(ctx, number); err != nil {
		return err
	}
	s.options.Progress("lwb4 of subscriber %d (%s): %s", number, s.by(number), s.Subscribers[number-1].Softwire)
	frames, err := wire.Drain()
	if err != nil {
		return err
	}
	for _, f := range frames {
		if text := describeExchange(f.Packet()); text != "" {
			s.options.Progress("  %s", text)
		}
	}
	return nil
}

// describeExchange says what a packet of PCP or DHCPv6 says, nothing if it is another.
func describeExchange(packet []byte) string {
	if text := describeDHCPv6(packet); text != "" {
		return text
	}
	d, err := datagram.Parse(packet)
	if err != nil {
		return ""
	}
	switch uint16(pcpmsg.ServerPort) {
	case d.To.Port():
		if r, err := pcpmsg.ParseRequest(d.Payload); err == nil && r.Opcode == pcpmsg.Map {
			return fmt.Sprintf("%s to %s%s: %s, up to %s ports, for %d s",
				d.From.Addr(), d.To.Addr(), inSoftwire(d), r.Opcode, portSetSize(r.Options), r.Lifetime)
		}
	case d.From.Port():
		if r, err := pcpmsg.ParseResponse(d.Payload); err == nil && r.Opcode == pcpmsg.Map {
			return fmt.Sprintf("%s to %s%s: %s %s, %s ports from %s on, for %d s",
				d.From.Addr(), d.To.Addr(), inSoftwire(d), r.Opcode, r.Result, portSetSize(r.Options),
				netip.AddrPortFrom(r.Mapping.External, r.Mapping.ExternalPort), r.Lifetime)
		}
	}
	return ""
}

// Lengths of headers, and ports of DHCPv6 (RFC 8415 section 7.2).
const (
	udpHeader  = 8
	clientPort = 546
	serverPort = 547
)

// describeDHCPv6 does not look at the checksum: between namespaces nobody makes one.
func describeDHCPv6(p []byte) string {
	if len(p) < outerHeader+udpHeader || p[0]>>4 != 6 || p[6] != unix.IPPROTO_UDP {
		return ""
	}
	from, to := binary.BigEndian.Uint16(p[outerHeader:]), binary.BigEndian.Uint16(p[outerHeader+2:])
	if (from != clientPort || to != serverPort) && (from != serverPort || to != clientPort) {
		return ""
	}
	m, err := dhcpv6.MessageFromBytes(p[outerHeader+udpHeader:])
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s to %s: %s%s",
		netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:])), m.MessageType, dhcpv6Content(m))
}

func inSoftwire(d datagram.Datagram) string {
	if !d.OuterFrom.IsValid() {
		return ""
	}
	return fmt.Sprintf(" (in IPv6 from %s)", d.OuterFrom)
}

func portSetSize(o pcpmsg.Options) string {
	if option, ok := o.Find(pcpmsg.CodePortSet); ok {
		if set, err := pcpmsg.ParsePortSet(option.Data); err == nil {
			return fmt.Sprint(set.Size)
		}
	}
	return "1"
}

// dhcpv6Content is the prefix and the softwire in a message.
func dhcpv6Content(m *dhcpv6.Message) string {
	var parts []string
	for _, ia := range m.Options.IAPD() {
		for _, p := range ia.Options.Prefixes() {
			parts = append(parts, "prefix "+p.Prefix.String())
		}
	}
	if o := m.GetOneOption(dhcpv6.OptionS46ContLW); o != nil {
		if parsed, err := s46.Parse(o.Code(), o.ToBytes()); err == nil {
			parts = append(parts, parsed.String())
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}
