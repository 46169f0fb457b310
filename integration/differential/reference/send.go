package reference

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// encapsulate sends a packet through the softwire sw. from is the softwire that
// it came out of, nil for one from the Internet.
func (s *step) encapsulate(d *datagram, sw, from *softwire.Softwire) {
	if d.len()+tunnelHeaderLen > s.Config.TunnelMTU && d.df() && !s.Config.IgnoreDF {
		// RFC 2473 section 7.2 a.
		s.drop(forwarder.DropTooBig, "%d octets, the tunnel takes %d", d.len(), s.Config.TunnelMTU-tunnelHeaderLen)
		s.tooBig(d, from, s.Config.TunnelMTU-tunnelHeaderLen)
		return
	}
	s.clamp(d)
	if from == nil {
		add(&s.Encapsulated, d.len())
	} else {
		add(&s.Hairpinned, d.len())
	}
	tally(s.ToB4, sw.Key(), d.len())
	s.tunnel(d, sw)
}

// tunnel puts a packet into the softwire sw (RFC 2473 sections 3.1 and 5), and
// cuts the result if it has to (section 7.2 b).
func (s *step) tunnel(d *datagram, sw *softwire.Softwire) {
	outer := layers.IPv6{
		Version: 6,
		// RFC 7596 section 6.2 names RFC 6333 section 7.1 and RFC 2983: the
		// uniform model. RFC 6040 section 4.1, normal mode, does the same to ECN.
		TrafficClass: d.TOS,
		NextHeader:   layers.IPProtocolIPv4,
		HopLimit:     uint8(s.Config.HopLimit),
		SrcIP:        sw.BR.AsSlice(),
		DstIP:        sw.B4.AsSlice(),
	}
	p := Packet{Side: dataplane.SideIPv6, Origin: -1, Flow: flowOf(d)}
	if d.origin {
		p.Origin = tunnelHeaderLen
	}
	s.cut6(p, outer, d.bytes())
}

// cut6 sends a packet to the IPv6 side that consists of a header and what
// follows it, in fragments if it has to (RFC 8200 section 4.5).
func (s *step) cut6(p Packet, header layers.IPv6, payload []byte) {
	next := header.NextHeader
	if tunnelHeaderLen+len(payload) <= s.Config.TunnelMTU {
		p.Bytes = build(&header, gopacket.Payload(payload))
		s.emit6(p, next)
		return
	}
	s.count(forwarder.Fragmented)
	s.cuts++
	p.Cut = s.cuts
	header.NextHeader = layers.IPProtocolIPv6Fragment
	if p.Origin >= 0 {
		p.Origin += fragmentHeaderLen
	}
	room := (s.Config.TunnelMTU - tunnelHeaderLen - fragmentHeaderLen) &^ 7
	for at := 0; at < len(payload); {
		part := payload[at:min(at+room, len(payload))]
		// "Each complete fragment, except possibly the last": which may be as
		// long as fits.
		if rest := payload[at:]; len(rest) <= s.Config.TunnelMTU-tunnelHeaderLen-fragmentHeaderLen {
			part = rest
		}
		fragment := []byte{byte(next), 0, 0, 0, 0, 0, 0, 0}
		offset := uint16(at)
		at += len(part)
		if at < len(payload) {
			offset |= 1
		}
		binary.BigEndian.PutUint16(fragment[2:], offset)
		p.Bytes = build(&header, gopacket.Payload(slices.Concat(fragment, part)))
		s.emit6(p, next)
		p.Origin = -1
	}
}

// flowOf names the flow of an inner packet: addresses, protocol and, where the
// packet has them, ports or the identifier.
func flowOf(d *datagram) string {
	flow := fmt.Sprintf("%s>%s/%d", d.src(), d.dst(), d.Protocol)
	if d.fragment() {
		return flow + " fragment"
	}
	if src, dst, ok := ports(d.Protocol, d.Payload); ok {
		return fmt.Sprintf("%s %d>%d", flow, src, dst)
	}
	if id, ok := echo(d.Payload); ok && d.Protocol == layers.IPProtocolICMPv4 {
		return fmt.Sprintf("%s %d %d", flow, d.Payload[0], id)
	}
	return flow
}

// emit6 sends a packet to the IPv6 side, unless a filter refuses it: a fragment
// as such, or as what it is a part of, which is protocol.
func (s *step) emit6(p Packet, protocol layers.IPProtocol) {
	src, dst := netip.AddrFrom16([16]byte(p.Bytes[8:])), netip.AddrFrom16([16]byte(p.Bytes[24:]))
	for _, protocol := range []uint8{p.Bytes[6], uint8(protocol)} {
		if refuses(s.Config.Filters.IPv6Out, src, dst, protocol) {
			s.drop(forwarder.DropIPv6Filter, "out: %s to %s, protocol %d", src, dst, protocol)
			return
		}
	}
	s.Sent = append(s.Sent, p)
}

// toIPv4 forwards a packet to the IPv4 Internet, which came out of the softwire
// from.
func (s *step) toIPv4(d *datagram, from *softwire.Softwire) {
	if d.len() > s.Config.IPv4MTU && d.df() && !s.Config.IgnoreDF {
		// RFC 1812 section 5.2.7.1, RFC 1191.
		s.drop(forwarder.DropTooBig, "%d octets, the IPv4 MTU is %d", d.len(), s.Config.IPv4MTU)
		s.tooBig(d, from, s.Config.IPv4MTU)
		return
	}
	s.clamp(d)
	if s.emit4(d) {
		tally(s.FromB4, from.Key(), d.len())
		add(&s.Decapsulated, d.len())
	}
}

// maxFragments4 is how many fragments an IPv4 packet is cut into at most, a
// choice.
const maxFragments4 = 128

// emit4 sends a packet to the IPv4 side, in fragments if it has to (RFC 791
// section 3.2), unless a filter refuses it. It reports whether it could.
func (s *step) emit4(d *datagram) bool {
	p := Packet{Side: dataplane.SideIPv4, Origin: -1}
	if d.origin {
		p.Origin = 0
	}
	send := func(d *datagram) {
		if refuses4(s.Config.Filters.IPv4Out, d) {
			s.drop(forwarder.DropIPv4Filter, "out: %s to %s, protocol %d", d.src(), d.dst(), d.Protocol)
			return
		}
		p.Bytes = d.bytes()
		s.Sent = append(s.Sent, p)
	}
	if d.len() <= s.Config.IPv4MTU {
		send(d)
		return true
	}
	copied, ok := copiedOptions(d.Padding)
	first, later := s.Config.IPv4MTU-d.headerLen(), s.Config.IPv4MTU-ipv4HeaderLen-len(copied)
	most := first&^7 + (maxFragments4-2)*(later&^7) + later
	// A fragment with a border that no fragment has is not cut further: a choice.
	broken := d.more() && len(d.Payload)%8 != 0 || int(d.FragOffset)*8+d.len() > maxPacket
	if !ok || broken || len(d.Payload) > most {
		s.drop(forwarder.DropTooBig, "%d octets cannot be cut", d.len())
		return false
	}
	s.count(forwarder.Fragmented)
	s.cuts++
	p.Cut = s.cuts
	if !d.fragment() {
		// A choice, since lwB4s that share the address may use the same (RFC 7596
		// section 5.2.1, RFC 6864 section 5.3.1).
		p.Origin = 0
	}
	for at := 0; at < len(d.Payload); {
		part := d.clone()
		if at > 0 {
			part.Padding = copied
		}
		size := s.Config.IPv4MTU - part.headerLen()
		if len(d.Payload)-at > size {
			size &^= 7 // all but the last
		}
		part.Payload = d.Payload[at:min(at+size, len(d.Payload))]
		part.FragOffset = d.FragOffset + uint16(at/8)
		part.Flags &^= layers.IPv4DontFragment // it was overruled if it was set
		at += len(part.Payload)
		if at < len(d.Payload) {
			part.Flags |= layers.IPv4MoreFragments
		}
		send(part)
	}
	return true
}

// copiedOptions returns those options that every fragment has (RFC 791 section
// 3.1), padded. It reports whether all of them could be found.
func copiedOptions(options []byte) ([]byte, bool) {
	const end, nop, copied = 0, 1, 0x80
	var kept []byte
	for len(options) > 0 && options[0] != end {
		if options[0] == nop {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return nil, false
		}
		if options[0]&copied != 0 {
			kept = append(kept, options[:options[1]]...)
		}
		options = options[options[1]:]
	}
	for len(kept)%4 != 0 {
		kept = append(kept, end)
	}
	return kept, true
}
