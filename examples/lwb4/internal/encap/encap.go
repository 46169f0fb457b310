package encap

import (
	"encoding/binary"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// HeaderLen is the length of the outer header in octets.
const HeaderLen = 40

// Softwire is one softwire seen from its lwB4. It does not change and may be
// used by several goroutines.
type Softwire struct {
	ipv4     netip.Addr
	ports    portset.PortSet
	b4, br   [16]byte
	hopLimit uint8
}

// New returns the lwB4's end of s, which must be valid. hopLimit is that of
// outer headers.
func New(s softwire.Softwire, hopLimit uint8) *Softwire {
	return &Softwire{ipv4: s.IPv4, ports: s.PortSet, b4: s.B4.As16(), br: s.BR.As16(), hopLimit: hopLimit}
}

// Outbound checks an IPv4 packet that is to go through the softwire. It must
// come from the softwire's address and port set: the NAT before it sees to
// that, and this is the last place to notice if it did not.
func (s *Softwire) Outbound(packet []byte) Verdict {
	h, ok := parse(packet)
	if !ok {
		return Malformed
	}
	if wellKnown.Contains(h.source) && wellKnown.Contains(h.destination) {
		return Pass
	}
	if h.source != s.ipv4 {
		return WrongAddress
	}
	return s.checkPort(h, packet, source)
}

// Encapsulate writes the outer header for the IPv4 packet at buf[HeaderLen:],
// which Outbound has passed, to the start of buf.
func (s *Softwire) Encapsulate(buf []byte) {
	inner := buf[HeaderLen:]
	// RFC 6333 section 7.1: the traffic class is carried over. That includes
	// the ECN bits, which is the normal mode of RFC 6040 section 4.1.
	binary.BigEndian.PutUint32(buf, 6<<28|uint32(inner[1])<<20|flowLabel(inner))
	binary.BigEndian.PutUint16(buf[4:], uint16(len(inner)))
	buf[6] = protoIPIP
	buf[7] = s.hopLimit
	copy(buf[8:24], s.b4[:])
	copy(buf[24:40], s.br[:])
}

// Inbound checks an IPv4 packet that came through the softwire under an outer
// header with that traffic class, and carries the traffic class over to it.
func (s *Softwire) Inbound(packet []byte, trafficClass uint8) Verdict {
	h, ok := parse(packet)
	if !ok {
		return Malformed
	}
	// RFC 7596 section 5.2: what does not match the lwB4's configuration MUST
	// be dropped.
	if !wellKnown.Contains(h.source) || !wellKnown.Contains(h.destination) {
		if h.destination != s.ipv4 {
			return WrongAddress
		}
		if v := s.checkPort(h, packet, destination); v != Pass {
			return v
		}
	}
	inner := packet[1]
	ecn, ok := decapsulatedECN(inner&ecnMask, trafficClass&ecnMask)
	if !ok {
		return Congested
	}
	setTOS(packet, trafficClass&^ecnMask|ecn)
	return Pass
}

// checkPort holds the port by which the AFTR finds our softwire against the
// port set.
func (s *Softwire) checkPort(h header, packet []byte, end end) Verdict {
	// A later fragment has no port; its first one had, and neither AFTR nor NAT
	// takes the one without the other.
	if s.ports.Whole() || h.laterFragment {
		return Pass
	}
	port, ok := h.port(packet, end)
	if !ok {
		return NoPort
	}
	if !s.ports.Contains(port) {
		return OutsidePortSet
	}
	return Pass
}

// wellKnown is the addresses of B4 and AFTR (RFC 6333 section 5.7).
var wellKnown = netip.MustParsePrefix("192.0.0.0/29")
