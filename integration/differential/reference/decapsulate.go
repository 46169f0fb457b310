package reference

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// The well-known addresses of a softwire (RFC 6333 section 5.7).
var (
	wellKnownAFTR = netip.AddrFrom4([4]byte{192, 0, 0, 1})
	wellKnownB4s  = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 0, 0}), 29)
)

// decapsulate processes a packet with an IPv4 packet in it (RFC 7596 section
// 6.2).
func (s *step) decapsulate(p *tunnelPacket) {
	d, err := parse4(p.payload())
	if err != nil {
		s.drop(forwarder.DropInnerMalformed, "%v", err)
		return
	}
	if !d.headerSound() {
		s.drop(forwarder.DropInnerMalformed, "header checksum %#04x", d.Checksum)
		return
	}
	if isPCP(d) {
		s.except(p, dataplane.ReasonPCPSoftwire, forwarder.ExceptionPCPSoftwire)
		return
	}
	all := s.on(d.src())
	ecnDone := false
	if d.fragment() && len(all) > 0 && !whole(all[0]) {
		if !s.isB4(p.src()) {
			s.drop(forwarder.DropFragmentStranger, "%s", p.src())
			s.policy(p)
			return
		}
		// What was marked on the way of each fragment is marked on the whole.
		if !s.markECN(p, d) {
			return
		}
		ecnDone = true
		if d = s.gather(d, &softwire.Softwire{B4: p.src(), BR: p.dst()}); d == nil {
			return
		}
	}
	sw := s.sender(p, d)
	if sw == nil {
		return
	}
	s.say("source %s: softwire %s", d.src(), sw)
	if martianDestination4(d.dst()) {
		s.drop(forwarder.DropInnerMartian, "%s", d.dst())
		return
	}
	if d.dst() != s.Config.IPv4Address && refusesICMP(s, d, s.Config.ICMPv4.FromB4) {
		return
	}
	if !ecnDone && !s.markECN(p, d) {
		return
	}
	if d.dst() == s.Config.IPv4Address {
		s.local(d, sw)
		return
	}
	// RFC 7596 section 6.2: hairpinning can be switched off. A choice: then the
	// IPv4 side has the packet.
	if s.Config.Hairpin && s.ours(d.dst()) {
		s.toB4(d, sw)
		return
	}
	if !s.hop(d, sw) {
		return
	}
	s.toIPv4(d, sw)
}

// isPCP reports whether d is PCP from a lwB4 to its lwAFTR. Hosts behind the
// lwB4 have other addresses.
func isPCP(d *datagram) bool {
	return d.dst() == wellKnownAFTR && wellKnownB4s.Contains(d.src()) &&
		d.Protocol == layers.IPProtocolUDP && !d.fragment() &&
		len(d.Payload) >= 8 && binary.BigEndian.Uint16(d.Payload[2:]) == pcpPort
}

// markECN gives d the ECN that it leaves its tunnel packet with, or drops it.
func (s *step) markECN(p *tunnelPacket, d *datagram) bool {
	ecn, ok := egressECN(d.ecn(), p.ecn())
	if !ok {
		s.drop(forwarder.DropECN, "inner %d, outer %d", d.ecn(), p.ecn())
		return false
	}
	d.TOS = d.TOS&^3 | ecn
	return true
}

// egressECN combines the ECN of both headers (RFC 6040 figure 4), or reports
// that the packet is to be dropped.
func egressECN(inner, outer uint8) (ecn uint8, ok bool) {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	table := [4][4]uint8{
		notECT: {notECT: notECT, ect0: notECT, ect1: notECT},
		ect0:   {notECT: ect0, ect0: ect0, ect1: ect1, ce: ce},
		ect1:   {notECT: ect1, ect0: ect1, ect1: ect1, ce: ce},
		ce:     {notECT: ce, ect0: ce, ect1: ce, ce: ce},
	}
	return table[inner][outer], inner != notECT || outer != ce
}

// sender finds the softwire that d came out of: the one that has its source
// address and port, if outer source and destination are that one's too. If
// there is none it drops d.
func (s *step) sender(p *tunnelPacket, d *datagram) *softwire.Softwire {
	all := s.on(d.src())
	if len(all) == 0 {
		s.drop(forwarder.DropInnerSource, "%s is nobody's", d.src())
		s.policy(p)
		return nil
	}
	sw := &all[0]
	if !whole(*sw) {
		var port uint16
		var ok bool
		if tooShort(d.Protocol, d.Payload) {
			s.drop(forwarder.DropIPv4Malformed, "%d octets of protocol %d", len(d.Payload), d.Protocol)
			return nil
		}
		if d.Protocol == layers.IPProtocolICMPv4 {
			if !sound(d.Payload) {
				s.drop(forwarder.DropICMPv4Checksum, "")
				return nil
			}
			if port, ok = icmpSender(d); !ok {
				s.drop(forwarder.DropICMPv4Unmatched, "no port of %s can be told from it", d.src())
				return nil
			}
		} else if port, _, ok = ports(d.Protocol, d.Payload); !ok {
			s.drop(forwarder.DropNoPort, "protocol %d, %d octets", d.Protocol, len(d.Payload))
			return nil
		}
		if sw = holder(all, port); sw == nil {
			s.drop(forwarder.DropInnerPort, "port %d of %s is nobody's", port, d.src())
			s.policy(p)
			return nil
		}
	}
	if sw.B4 != p.src() {
		s.drop(forwarder.DropOuterSource, "%s, softwire %s", p.src(), sw)
		s.policy(p)
		return nil
	}
	if sw.BR != p.dst() {
		s.drop(forwarder.DropOuterDestination, "%s, softwire %s", p.dst(), sw)
		s.policy(p)
		return nil
	}
	return sw
}
