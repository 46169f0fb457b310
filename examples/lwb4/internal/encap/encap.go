package encap

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
)

// HeaderLen is the length of the outer header in octets.
const HeaderLen = 40

// Softwire is one softwire seen from its lwB4. It does not change and may be
// used by several goroutines.
type Softwire struct {
	ports    assign.Ports
	whole    bool
	b4, br   [16]byte
	hopLimit uint8
}

// New returns the lwB4's end of a softwire. Without ports it carries only what
// its two ends say to each other. hopLimit is that of outer headers.
func New(ends assign.Ends, ports assign.Ports, hopLimit uint8) *Softwire {
	return &Softwire{ports: ports, whole: ports.Whole(), b4: ends.B4.As16(), br: ends.BR.As16(), hopLimit: hopLimit}
}

// Outbound checks an IPv4 packet that is to go through the softwire. It must
// come from the softwire's address and ports: the NAT before it sees to
// that, and this is the last place to notice if it did not.
func (s *Softwire) Outbound(packet []byte) Verdict {
	h, ok := parse(packet)
	if !ok {
		return Malformed
	}
	if assign.WellKnown.Contains(h.source) && assign.WellKnown.Contains(h.destination) {
		return Pass
	}
	if h.source != s.ports.IPv4 {
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
	if !assign.WellKnown.Contains(h.source) || !assign.WellKnown.Contains(h.destination) {
		if h.destination != s.ports.IPv4 {
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
	if s.whole || h.laterFragment {
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
