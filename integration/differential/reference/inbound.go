package reference

import (
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// fromIPv4 processes a packet from the IPv4 Internet.
func (s *step) fromIPv4(b []byte) {
	d, err := parse4(b)
	if err != nil {
		s.drop(forwarder.DropIPv4Malformed, "%v", err)
		return
	}
	// RFC 1812 section 5.2.2 test 2.
	if !d.headerSound() {
		s.drop(forwarder.DropIPv4Checksum, "%#04x", d.Checksum)
		return
	}
	if refuses4(s.Config.Filters.IPv4In, d) {
		s.drop(forwarder.DropIPv4Filter, "in: %s to %s, protocol %d", d.src(), d.dst(), d.Protocol)
		return
	}
	if martianSource4(d.src()) || martianDestination4(d.dst()) || d.src() == s.Config.IPv4Address {
		s.drop(forwarder.DropIPv4Martian, "%s to %s", d.src(), d.dst())
		return
	}
	if d.dst() == s.Config.IPv4Address {
		s.local(d, nil)
		return
	}
	if refusesICMP(s, d, s.Config.ICMPv4.FromIPv4) {
		return
	}
	s.toB4(d, nil)
}

// toB4 sends a packet to the lwB4 that has its destination address and port.
// from is the softwire that it came out of, nil for one from the Internet.
func (s *step) toB4(d *datagram, from *softwire.Softwire) {
	if from != nil {
		if !s.hop(d, from) {
			return
		}
		tally(s.FromB4, from.Key(), d.len())
	}
	if d.fragment() {
		// RFC 7597 section 8.3.2: the port is in the first fragment only.
		if all := s.on(d.dst()); len(all) > 0 && !whole(all[0]) {
			if d = s.gather(d, from); d == nil {
				return
			}
		}
	}
	sw := s.receiver(d, from)
	if sw == nil {
		return
	}
	s.say("destination %s: softwire %s", d.dst(), sw)
	if from == nil && !s.hop(d, from) {
		return
	}
	s.encapsulate(d, sw, from)
}

// receiver finds the softwire that d is for (RFC 7596 sections 6.2 and 8.1), or
// drops d.
func (s *step) receiver(d *datagram, from *softwire.Softwire) *softwire.Softwire {
	all := s.on(d.dst())
	if len(all) == 0 {
		s.unbound(d, from)
		return nil
	}
	if whole(all[0]) {
		return &all[0]
	}
	port, ok := s.receiverPort(d)
	if !ok {
		return nil
	}
	if sw := holder(all, port); sw != nil {
		return sw
	}
	if d.Protocol == layers.IPProtocolICMPv4 {
		// "otherwise, it MUST discard the packet"; no error, as for all ICMP.
		s.drop(forwarder.DropICMPv4Unmatched, "port %d of %s is nobody's", port, d.dst())
		return nil
	}
	s.drop(forwarder.DropUnboundPort, "port %d of %s", port, d.dst())
	s.hostUnreachable(d, from)
	return nil
}

// receiverPort returns the port by which the receiver of d is found on a shared
// address, or drops d.
func (s *step) receiverPort(d *datagram) (uint16, bool) {
	if tooShort(d.Protocol, d.Payload) {
		s.drop(forwarder.DropIPv4Malformed, "%d octets of protocol %d", len(d.Payload), d.Protocol)
		return 0, false
	}
	if d.Protocol == layers.IPProtocolICMPv4 {
		if !sound(d.Payload) {
			// RFC 5508 REQ-3.
			s.drop(forwarder.DropICMPv4Checksum, "")
			return 0, false
		}
		port, ok := icmpReceiver(d)
		if !ok {
			s.drop(forwarder.DropICMPv4Unmatched, "no port of %s can be told from it", d.dst())
		}
		return port, ok
	}
	_, port, ok := ports(d.Protocol, d.Payload)
	if !ok {
		s.drop(forwarder.DropNoPort, "protocol %d, %d octets", d.Protocol, len(d.Payload))
	}
	return port, ok
}

// unbound drops a packet to an address that no softwire has.
func (s *step) unbound(d *datagram, from *softwire.Softwire) {
	if d.Protocol == layers.IPProtocolICMPv4 {
		s.drop(forwarder.DropICMPv4Unmatched, "%s is nobody's", d.dst())
		return
	}
	s.drop(forwarder.DropUnboundAddress, "%s", d.dst())
	s.hostUnreachable(d, from)
}

// refusesICMP drops ICMPv4 messages of a side where they are switched off.
func refusesICMP(s *step, d *datagram, allowed bool) bool {
	if d.Protocol != layers.IPProtocolICMPv4 || allowed {
		return false
	}
	s.drop(forwarder.DropICMPv4Policy, "ICMPv4 from this side is switched off")
	return true
}

// hop decrements the TTL (RFC 1812 section 5.3.1), or drops d.
func (s *step) hop(d *datagram, from *softwire.Softwire) bool {
	if d.TTL <= 1 {
		s.drop(forwarder.DropTTL, "TTL %d", d.TTL)
		s.timeExceeded(d, from)
		return false
	}
	d.TTL--
	return true
}
