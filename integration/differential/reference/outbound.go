package reference

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// pcpPort is where PCP servers listen (RFC 6887 section 19.1).
const pcpPort = 5351

// maxException is the most octets of an exception packet, a choice.
const maxException = 1500

// tunnelPacket is a packet from the IPv6 side, on its way through its headers.
type tunnelPacket struct {
	b    []byte // without padding after it
	next layers.IPProtocol
	at   int // where what next names begins

	atomic bool // it has a Fragment header that says it is no fragment
}

func (p *tunnelPacket) src() netip.Addr { return netip.AddrFrom16([16]byte(p.b[8:])) }
func (p *tunnelPacket) dst() netip.Addr { return netip.AddrFrom16([16]byte(p.b[24:])) }
func (p *tunnelPacket) class() uint8    { return p.b[0]<<4 | p.b[1]>>4 }
func (p *tunnelPacket) ecn() uint8      { return p.class() & 3 }
func (p *tunnelPacket) payload() []byte { return p.b[p.at:] }

// parse6 takes the fixed header (RFC 8200 section 3).
func parse6(b []byte) (*tunnelPacket, error) {
	if len(b) < tunnelHeaderLen {
		return nil, fmt.Errorf("too short for an IPv6 header")
	}
	if b[0]>>4 != 6 {
		return nil, fmt.Errorf("version %d", b[0]>>4)
	}
	end := tunnelHeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	if end > len(b) {
		return nil, fmt.Errorf("%d octets came, the header says %d", len(b), end)
	}
	return &tunnelPacket{b: b[:end], next: layers.IPProtocol(b[6]), at: tunnelHeaderLen}, nil
}

// fromIPv6 processes a packet from the access network.
func (s *step) fromIPv6(b []byte) {
	p, err := parse6(b)
	if err != nil {
		s.drop(forwarder.DropIPv6Malformed, "%v", err)
		return
	}
	if !s.headers(p) {
		return
	}
	if s.filtered6(p) {
		return
	}
	if martianSource6(p.src()) {
		s.drop(forwarder.DropIPv6Martian, "%s", p.src())
		return
	}
	if !s.isBR(p.dst()) {
		s.drop(forwarder.DropNotBR, "%s", p.dst())
		return
	}
	if p.next == layers.IPProtocolIPv6Fragment {
		if p = s.gather6(p); p == nil || !s.headers(p) || s.filtered6(p) {
			return
		}
	}
	s.upper(p)
}

// filtered6 drops a packet that a filter refuses: a fragment as such, and again
// as what it was a part of.
func (s *step) filtered6(p *tunnelPacket) bool {
	if !refuses(s.Config.Filters.IPv6In, p.src(), p.dst(), uint8(p.next)) {
		return false
	}
	s.drop(forwarder.DropIPv6Filter, "in: %s to %s, protocol %d", p.src(), p.dst(), p.next)
	return true
}

// headers goes through the extension headers strictly left to right (RFC 8200
// section 4) up to a fragment or the upper layer, or drops the packet.
func (s *step) headers(p *tunnelPacket) bool {
	for range maxHeaders {
		rest := p.payload()
		switch p.next {
		case layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Destination, layers.IPProtocolIPv6Routing:
			if why := s.extension(p); why != "" {
				s.drop(forwarder.DropIPv6Extension, "%s", why)
				return false
			}
		case layers.IPProtocolIPv6Fragment:
			if len(rest) < fragmentHeaderLen {
				s.drop(forwarder.DropIPv6Extension, "fragment header of %d octets", len(rest))
				return false
			}
			if binary.BigEndian.Uint16(rest[2:])&0xfff9 != 0 {
				return true
			}
			p.atomic = true
			// RFC 6946: a packet of its own. That it is handed on with its header
			// is a choice.
			s.say("atomic fragment")
			p.next, p.at = layers.IPProtocol(rest[0]), p.at+fragmentHeaderLen
		default:
			return true
		}
	}
	s.drop(forwarder.DropIPv6Extension, "too many headers")
	return false
}

const (
	fragmentHeaderLen = 8
	// maxHeaders is how many headers behind that of IPv6 are looked at to find
	// the upper layer, that of the upper layer included: a choice.
	maxHeaders = 8
)

// withoutFragmentHeader is p without the Fragment header that it has at p.at.
func withoutFragmentHeader(p *tunnelPacket) []byte {
	b := slices.Concat(p.b[:p.at], p.b[p.at+fragmentHeaderLen:])
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-tunnelHeaderLen))
	b[lastNextHeader(p)] = p.b[p.at]
	return b
}

// lastNextHeader returns where the octet is that says what p.at has.
func lastNextHeader(p *tunnelPacket) int {
	next, at := 6, tunnelHeaderLen
	for at < p.at {
		next = at
		at += 8 + int(p.b[at+1])*8
	}
	return next
}

// extension processes an extension header with a length and steps over it, or
// says why the packet is to be discarded.
func (s *step) extension(p *tunnelPacket) string {
	rest := p.payload()
	if len(rest) < 8 || len(rest) < 8+int(rest[1])*8 {
		return "cut off"
	}
	header := rest[:8+int(rest[1])*8]
	switch p.next {
	case layers.IPProtocolIPv6HopByHop:
		if p.at != tunnelHeaderLen {
			return "hop-by-hop options that are not first"
		}
		fallthrough
	case layers.IPProtocolIPv6Destination:
		if why := options(header[2:]); why != "" {
			return why
		}
	case layers.IPProtocolIPv6Routing:
		// RFC 8200 section 4.4: of a type nobody here knows.
		if segmentsLeft := header[3]; segmentsLeft != 0 {
			return fmt.Sprintf("routing header with %d segments left", segmentsLeft)
		}
	}
	s.say("extension header %d, %d octets", p.next, len(header))
	p.next, p.at = layers.IPProtocol(header[0]), p.at+len(header)
	return ""
}

// options goes through the options of a header (RFC 8200 section 4.2) and says
// why the packet is to be discarded, if it is.
func options(b []byte) string {
	const pad1, padN, tunnelEncapsulationLimit = 0, 1, 4
	for len(b) > 0 {
		if b[0] == pad1 {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return "an option is cut off"
		}
		switch b[0] {
		case padN:
		case tunnelEncapsulationLimit:
			// RFC 2473 section 4.1.1: of interest to entry points only.
		default:
			if b[0]>>6 != 0 {
				return fmt.Sprintf("unknown option %#02x says so", b[0])
			}
		}
		b = b[2+int(b[1]):]
	}
	return ""
}

// upper hands a packet to the protocol in it.
func (s *step) upper(p *tunnelPacket) {
	switch p.next {
	case layers.IPProtocolIPv4:
		s.decapsulate(p)
	case layers.IPProtocolICMPv6:
		s.icmp6(p)
	case layers.IPProtocolUDP:
		if b := p.payload(); len(b) >= 8 && binary.BigEndian.Uint16(b[2:]) == pcpPort {
			s.except(p, dataplane.ReasonPCP, forwarder.ExceptionPCP)
			return
		}
		fallthrough
	default:
		s.drop(forwarder.DropIPv6Protocol, "%d", p.next)
	}
}

// except hands a packet to the control logic.
func (s *step) except(p *tunnelPacket, reason dataplane.Reason, e forwarder.Event) {
	if len(p.b) > maxException || s.queued >= s.Config.ExceptionQueue {
		s.drop(forwarder.DropExceptionQueue, "%d octets, %d wait", len(p.b), s.queued)
		return
	}
	s.queued++
	s.count(e)
	s.say("%s", e)
	s.Exceptions = append(s.Exceptions, dataplane.Exception{Side: dataplane.SideIPv6, Reason: reason, Packet: p.b})
}
