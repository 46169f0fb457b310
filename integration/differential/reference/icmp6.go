package reference

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

const (
	minMTU6 = 1280 // what every IPv6 link carries (RFC 8200 section 5)
	minMTU4 = 68   // what every IPv4 link carries (RFC 791 section 3.2)
)

// ICMPv6 types.
const (
	unreachable6      = layers.ICMPv6TypeDestinationUnreachable
	tooBig6           = layers.ICMPv6TypePacketTooBig
	timeExceeded6     = layers.ICMPv6TypeTimeExceeded
	parameterProblem6 = layers.ICMPv6TypeParameterProblem
	echoRequest6      = layers.ICMPv6TypeEchoRequest
	echoReply6        = layers.ICMPv6TypeEchoReply
)

// policy tells a lwB4 that its packet belongs to no softwire (RFC 7596 section
// 6.2: ICMPv6 type 1 code 5).
func (s *step) policy(p *tunnelPacket) {
	inner := quotation4(p.payload())
	if !inner.first() || inner.header[9] == byte(layers.IPProtocolICMPv4) && (len(inner.transport) == 0 || !icmpQuery(inner.transport[0])) {
		// A choice: what would get no ICMPv4 error gets no ICMPv6 error either.
		s.say("no ICMPv6 error: about an ICMPv4 error, or not the first fragment")
		return
	}
	if !s.Config.ICMPv6.Policy {
		s.say("no ICMPv6 error: it is switched off")
		return
	}
	// RFC 4443 section 2.4 e.6; other sources that identify nobody were dropped
	// before.
	if s.isBR(p.src()) {
		s.say("no ICMPv6 error: to an address of our own")
		return
	}
	// RFC 4443 section 2.4 c.
	quote := p.b[:min(len(p.b), minMTU6-tunnelHeaderLen-icmpHeaderLen)]
	s.count(forwarder.SentICMPv6Policy)
	s.say("ICMPv6 1/5 to %s", p.src())
	const failedPolicy = 5
	s.answer6(p, 0, unreachable6, failedPolicy, append(make([]byte, 4), quote...))
}

// answer6 sends an ICMPv6 message back, from the address that p was for.
func (s *step) answer6(p *tunnelPacket, class, kind, code uint8, body []byte) {
	header := &layers.IPv6{
		Version:      6,
		TrafficClass: class,
		NextHeader:   layers.IPProtocolICMPv6,
		HopLimit:     originTTL,
		SrcIP:        p.dst().AsSlice(),
		DstIP:        p.src().AsSlice(),
	}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, code)}
	if err := icmp.SetNetworkLayerForChecksum(header); err != nil {
		panic(err) // only for other layers than IP
	}
	s.cut6(Packet{Side: dataplane.SideIPv6, Origin: -1}, *header, build(icmp, gopacket.Payload(body)))
}

// sound6 reports whether the checksum of a packet with ICMPv6 in it is right
// (RFC 4443 section 2.3).
func sound6(p *tunnelPacket) bool {
	message := p.payload()
	pseudo := append([]byte(nil), p.b[8:40]...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(message)))
	pseudo = append(pseudo, 0, 0, 0, byte(layers.IPProtocolICMPv6))
	return sound(append(pseudo, message...))
}

// icmp6 processes ICMPv6 to a BR address.
func (s *step) icmp6(p *tunnelPacket) {
	message := p.payload()
	if len(message) < icmpHeaderLen {
		s.drop(forwarder.DropIPv6Malformed, "ICMPv6 of %d octets", len(message))
		return
	}
	if !sound6(p) {
		s.drop(forwarder.DropICMPv6Checksum, "%d octets", len(message))
		return
	}
	switch kind := message[0]; {
	case kind == echoRequest6:
		s.count(forwarder.EchoReplyIPv6)
		s.say("echo reply to %s", p.src())
		// With the class of the request, as RFC 1812 section 4.3.2.5 says of IPv4.
		s.answer6(p, p.class(), echoReply6, 0, message[4:])
	case kind >= unreachable6 && kind <= parameterProblem6:
		s.relay(p)
	default:
		// RFC 4443 section 2.4 a and b: no error of a type that we do not know
		// can be about anything but a tunnel packet, and IPv4 knows it neither.
		s.drop(forwarder.DropIPv6Protocol, "ICMPv6 type %d", kind)
	}
}

// relay tells the sender of an IPv4 packet of an error that its tunnel packet
// met (RFC 2473 section 8).
func (s *step) relay(p *tunnelPacket) {
	if !s.Config.ICMPv6.Relay {
		s.drop(forwarder.DropICMPv6Policy, "relaying is switched off")
		return
	}
	message := p.payload()
	kind, code, mtu := message[0], message[1], binary.BigEndian.Uint32(message[4:])
	b4, d := s.sentPacket(p, message[icmpHeaderLen:])
	if d == nil {
		s.drop(forwarder.DropICMPv6Unrelayed, "it quotes no packet that we sent")
		return
	}
	var newCode uint8
	var rest uint32
	switch kind {
	case tooBig6:
		// RFC 2473 section 8.3: only to a sender that had DF set.
		if !d.df() {
			s.drop(forwarder.DropICMPv6Unrelayed, "too big, but DF is clear")
			return
		}
		newCode = layers.ICMPv4CodeFragmentationNeeded
		// RFC 2473 section 8.3: minus the tunnel header. Choices: less than an
		// IPv6 link may carry is relayed too, but never less than IPv4 needs
		// (RFC 791), nor more than our own tunnel takes.
		rest = min(max(mtu, minMTU4+tunnelHeaderLen), uint32(s.Config.TunnelMTU)) - tunnelHeaderLen
	case unreachable6:
		newCode = layers.ICMPv4CodeHost
	case timeExceeded6:
		// RFC 2473 section 8.1 lists the hop limit only.
		if code != layers.ICMPv6CodeHopLimitExceeded {
			s.drop(forwarder.DropICMPv6Unrelayed, "a reassembly that timed out")
			return
		}
		newCode = layers.ICMPv4CodeHost
	default:
		// A parameter problem is relayed if it points to a tunnel encapsulation
		// limit; we send none.
		s.drop(forwarder.DropICMPv6Unrelayed, "type %d code %d", kind, code)
		return
	}
	if !s.mayRelay(d) {
		s.drop(forwarder.DropICMPv6Unrelayed, "")
		return
	}
	quote := d.received[:min(len(d.received), maxICMPv4Error-ipv4HeaderLen-icmpHeaderLen)]
	s.count(forwarder.RelayedICMPv6)
	s.say("ICMPv4 3/%d, rest %d, to %s, about a packet to lwB4 %s", newCode, rest, d.src(), b4)
	answer := s.icmp(d, unreachable, newCode, rest, quote)
	if !s.ours(d.src()) {
		s.emit4(answer)
		return
	}
	// The sender is a lwB4 itself.
	all := s.on(d.src())
	for i := range all {
		if port, _, ok := (&quotation{d.received[:d.headerLen()], d.Payload}).flow(); whole(all[i]) || ok && holds(all[i], port) {
			s.tunnel(answer, &all[i])
			return
		}
	}
	s.drop(forwarder.DropICMPv4Unmatched, "%s is no lwB4's any more", d.src())
}

// mayRelay reports whether an ICMPv4 error may be sent about a packet that we
// tunnelled.
func (s *step) mayRelay(d *datagram) bool {
	if d.src() == s.Config.IPv4Address {
		s.say("no ICMPv4 error: the packet was our own")
		return false
	}
	return s.mayComplain(d, &softwire.Softwire{}, true)
}

// sentPacket returns the IPv4 packet in the tunnel packet that an ICMPv6 error
// quotes, and the lwB4 it was for; or nil if we cannot have sent that.
func (s *step) sentPacket(p *tunnelPacket, b []byte) (netip.Addr, *datagram) {
	if len(b) < tunnelHeaderLen || b[0]>>4 != 6 {
		return netip.Addr{}, nil
	}
	q := &tunnelPacket{b: b, next: layers.IPProtocol(b[6]), at: tunnelHeaderLen}
	if q.src() != p.dst() {
		return netip.Addr{}, nil
	}
	if q.next == layers.IPProtocolIPv6Fragment && len(b) >= tunnelHeaderLen+fragmentHeaderLen {
		if binary.BigEndian.Uint16(b[tunnelHeaderLen+2:])&0xfff8 != 0 {
			return netip.Addr{}, nil // not the first fragment
		}
		q.next, q.at = layers.IPProtocol(b[tunnelHeaderLen]), q.at+fragmentHeaderLen
	}
	if q.next != layers.IPProtocolIPv4 {
		return netip.Addr{}, nil
	}
	d := truncated(q.payload())
	if d == nil {
		return netip.Addr{}, nil
	}
	// Is it for the softwire that has its destination?
	all := s.on(d.dst())
	for i := range all {
		if all[i].B4 != q.dst() || all[i].BR != q.src() {
			continue
		}
		if whole(all[i]) {
			return q.dst(), d
		}
		if _, port, ok := (&quotation{d.received[:d.headerLen()], d.Payload}).flow(); ok && holds(all[i], port) {
			return q.dst(), d
		}
	}
	return netip.Addr{}, nil
}

// truncated decodes an IPv4 packet of which the end may be missing, or returns
// nil.
func truncated(b []byte) *datagram {
	q := quotation4(b)
	// What we sent had a right checksum.
	if q == nil || !sound(q.header) {
		return nil
	}
	// The decoder wants the length to agree with what is there.
	whole := append([]byte(nil), b...)
	if total := int(binary.BigEndian.Uint16(b[2:])); total > len(b) {
		binary.BigEndian.PutUint16(whole[2:], uint16(len(b)))
	}
	d, err := parse4(whole)
	if err != nil {
		return nil
	}
	d.received = b[:len(d.received)]
	return d
}
