package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// expectation is one packet that must come out.
type expectation struct {
	side dataplane.Side
	what string
	// match says why got is not the packet.
	match func(got []byte) error
}

// hops is how often the TTL may have been decremented. A data plane that routes
// the packet besides tunnelling it does so twice; that it happens exactly once
// is a case of its own.
type hops struct{ least, most uint8 }

var (
	once    = hops{1, 1}
	oneHop  = hops{1, 2}
	twoHops = hops{1, 3} // hairpinned: a hop in each direction
)

// encapsulated expects p in the tunnel to sw's lwB4 (RFC 7596 section 6.2).
func encapsulated(p packet4, sw softwire.Softwire, h hops) expectation {
	return expectation{dataplane.SideIPv6, "encapsulated to " + sw.B4.String(), func(got []byte) error {
		return h.match(p, func(p packet4) []byte {
			// RFC 6333 section 7.1, RFC 2473 section 6: the traffic class is
			// copied from the inner header.
			o := outer{src: sw.BR, dst: sw.B4, class: p.tos}
			o.flow, o.hops = freeFields(got)
			return o.around(p.bytes())
		}, got)
	}}
}

// decapsulated expects p on the IPv4 side.
func decapsulated(p packet4, h hops) expectation {
	return expectation{dataplane.SideIPv4, "decapsulated", func(got []byte) error {
		return h.match(p, packet4.bytes, got)
	}}
}

// match compares got, byte for byte, with what build makes of p after each
// number of hops that h allows.
func (h hops) match(p packet4, build func(packet4) []byte, got []byte) error {
	for n := h.least; n <= h.most; n++ {
		if bytes.Equal(got, build(p.withTTL(p.ttl-n))) {
			return nil
		}
	}
	return fmt.Errorf("got  %s\nwant %s", describe(got), describe(build(p.withTTL(p.ttl-h.least))))
}

// freeFields are what a tunnel entry point chooses: the outer flow label and
// hop limit (RFC 2473 section 6.4). A hop limit of zero is no choice.
func freeFields(packet []byte) (flow uint32, hops uint8) {
	if len(packet) < 40 {
		return 0, 64
	}
	return binary.BigEndian.Uint32(packet) & 0xfffff, max(packet[7], 1)
}

// exactly expects packet but for a hop that Inject may take.
func exactly(side dataplane.Side, packet []byte) expectation {
	return expectation{side, "the packet itself", func(got []byte) error {
		if bytes.Equal(got, packet) || bytes.Equal(got, hopTaken(packet)) {
			return nil
		}
		return fmt.Errorf("got  %s\nwant %s", describe(got), describe(packet))
	}}
}

// hopTaken is packet with its TTL or hop limit decremented.
func hopTaken(packet []byte) []byte {
	decoded := decode(packet)
	network := decoded.NetworkLayer()
	switch header := network.(type) {
	case *layers.IPv4:
		header.TTL--
	case *layers.IPv6:
		header.HopLimit--
	default:
		return packet
	}
	return serialize(network.(gopacket.SerializableLayer), gopacket.Payload(network.LayerPayload()))
}

// icmpError expects an ICMPv4 error about p to its source, on the IPv4 side.
func icmpError(p packet4, kind, code uint8) expectation {
	what := fmt.Sprintf("ICMPv4 %d/%d to %s", kind, code, p.src)
	return expectation{dataplane.SideIPv4, what, func(got []byte) error {
		return matchError(p, kind, code, got)
	}}
}

// tunnelledError expects an ICMPv4 error about p to its source, in the tunnel
// to sw's lwB4.
func tunnelledError(p packet4, sw softwire.Softwire, kind, code uint8) expectation {
	what := fmt.Sprintf("ICMPv4 %d/%d to %s in the tunnel to %s", kind, code, p.src, sw.B4)
	return expectation{dataplane.SideIPv6, what, func(got []byte) error {
		src, dst, inner, ok := open(got)
		if !ok || src != sw.BR || dst != sw.B4 {
			return fmt.Errorf("got %s, want a tunnel packet from %s to %s", describe(got), sw.BR, sw.B4)
		}
		return matchError(p, kind, code, inner)
	}}
}

// open takes a tunnel packet apart.
func open(packet []byte) (src, dst netip.Addr, inner []byte, ok bool) {
	if len(packet) < 60 || packet[0]>>4 != 6 || packet[6] != uint8(layers.IPProtocolIPv4) {
		return src, dst, nil, false
	}
	src, _ = netip.AddrFromSlice(packet[8:24])
	dst, _ = netip.AddrFromSlice(packet[24:40])
	return src, dst, packet[40:], true
}

func decode(packet []byte) gopacket.Packet {
	first := gopacket.Decoder(layers.LayerTypeIPv4)
	if len(packet) > 0 && packet[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	return gopacket.NewPacket(packet, first, gopacket.Default)
}

// describe is a packet for people.
func describe(packet []byte) string {
	return fmt.Sprintf("%x\n%s", packet, decode(packet))
}
