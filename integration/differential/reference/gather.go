package reference

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// maxPacket is the most octets of an IPv4 packet, and of the payload of an IPv6
// packet.
const maxPacket = 65535

// gathering is the incomplete packets from one side, the oldest first.
type gathering struct{ packets []*incomplete }

// incomplete is what came of one packet.
type incomplete struct {
	key     string
	since   time.Time
	pieces  []piece
	spoiled *forwarder.Event // whatever comes of it is dropped as this
}

// piece is one fragment.
type piece struct {
	at   int // octets
	data []byte
	more bool
	ecn  uint8
	// The fragment, to have its headers if it is the first.
	four *datagram
	six  *tunnelPacket
}

func (p piece) end() int { return p.at + len(p.data) }

// headerLen is what of a whole packet's length limit its headers take, if p is
// its first fragment.
func (p piece) headerLen() int {
	if p.four != nil {
		return p.four.headerLen()
	}
	return p.six.at - tunnelHeaderLen
}

func (g *gathering) find(key string) *incomplete {
	for _, p := range g.packets {
		if p.key == key {
			return p
		}
	}
	return nil
}

func (g *gathering) remove(p *incomplete) {
	g.packets = slices.DeleteFunc(g.packets, func(q *incomplete) bool { return p == q })
}

// gather takes an IPv4 fragment, from the Internet or out of a softwire. It
// returns the whole packet once it has all of it.
func (s *step) gather(d *datagram, from *softwire.Softwire) *datagram {
	p := piece{at: int(d.FragOffset) * 8, data: d.Payload, more: d.more(), ecn: d.ecn(), four: d}
	g, limits := &s.fromInternet, s.Config.Reassembly.IPv4
	key := fmt.Sprintf("%s %s %d %d", d.src(), d.dst(), d.Protocol, d.Id)
	if from != nil {
		g, limits = &s.fromB4s, s.Config.Reassembly.IPv6
		key = fmt.Sprintf("%s in %s", key, from.B4)
	}
	if p.at == 0 && d.Protocol == layers.IPProtocolTCP && len(p.data) < 16 {
		// RFC 1858 section 3.2.1.
		s.drop(forwarder.DropFragmentBad, "%d octets of TCP", len(p.data))
		return nil
	}
	// Which header the whole packet has is not known before the first fragment
	// comes: at least this.
	if ipv4HeaderLen+p.end() > maxPacket {
		s.drop(forwarder.DropFragmentBad, "to %d octets", p.end())
		return nil
	}
	all, ecn := s.collect(g, limits, key, p)
	if all == nil {
		return nil
	}
	whole := *all[0].four
	whole.Payload = join(all)
	whole.Flags, whole.FragOffset = 0, 0
	whole.TOS = whole.TOS&^3 | ecn
	again, err := parse4(whole.bytes())
	if err != nil {
		panic(err) // it was just built
	}
	return again
}

// gather6 takes a fragment of a tunnel packet, whose Fragment header is at p.at.
func (s *step) gather6(p *tunnelPacket) *tunnelPacket {
	// A choice: who is no lwB4 has no use for memory here.
	if !s.isB4(p.src()) {
		s.drop(forwarder.DropFragmentStranger, "%s", p.src())
		return nil
	}
	if p.atomic {
		// Fragments of fragments: a choice, here and below.
		s.drop(forwarder.DropFragmentBad, "two fragment headers")
		return nil
	}
	header := p.payload()[:fragmentHeaderLen]
	field := binary.BigEndian.Uint16(header[2:])
	part := piece{at: int(field &^ 7), data: p.payload()[fragmentHeaderLen:], more: field&1 != 0, ecn: p.ecn(), six: p}
	// RFC 8200 section 4.5: what identifies a packet.
	key := fmt.Sprintf("%s %s %d", p.src(), p.dst(), binary.BigEndian.Uint32(header[4:]))
	if part.end() > maxPacket {
		s.drop(forwarder.DropFragmentBad, "to %d octets", part.end())
		return nil
	}
	if part.at == 0 && !throughUpperLayer(layers.IPProtocol(header[0]), part.data) {
		// RFC 8200 section 4.5.
		s.drop(forwarder.DropFragmentBad, "the first fragment lacks headers")
		return nil
	}
	all, ecn := s.collect(&s.fromB4s, s.Config.Reassembly.IPv6, key, part)
	if all == nil {
		return nil
	}
	first := *all[0].six
	b := slices.Concat(first.b[:first.at+fragmentHeaderLen], join(all))
	b[1] = b[1]&^0x30 | ecn<<4
	first.b = b
	return &tunnelPacket{b: withoutFragmentHeader(&first), next: layers.IPProtocol(b[first.at]), at: first.at}
}

// throughUpperLayer reports whether b, which begins with what next names, has
// all headers through that of the upper layer.
func throughUpperLayer(next layers.IPProtocol, b []byte) bool {
	for range maxHeaders {
		switch next {
		case layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Destination, layers.IPProtocolIPv6Routing:
			if len(b) < 8 || len(b) < 8+int(b[1])*8 {
				return false
			}
			next, b = layers.IPProtocol(b[0]), b[8+int(b[1])*8:]
		case layers.IPProtocolIPv6Fragment:
			return false
		case layers.IPProtocolIPv4:
			return len(b) > 0 && len(b) >= max(ipv4HeaderLen, int(b[0]&15)*4)
		case layers.IPProtocolIPv6:
			return len(b) >= tunnelHeaderLen
		case layers.IPProtocolTCP:
			return len(b) >= tcpHeaderLen
		case layers.IPProtocolNoNextHeader:
			return true
		default:
			return len(b) > 0
		}
	}
	return false
}

// collect adds a piece to its packet, and returns all pieces in order when the
// packet is whole, with its ECN.
func (s *step) collect(g *gathering, limits forwarder.ReassemblyConfig, key string, p piece) ([]piece, uint8) {
	switch {
	case len(p.data) == 0:
		s.drop(forwarder.DropFragmentBad, "no data")
		return nil, 0
	case p.more && len(p.data)%8 != 0:
		// RFC 8200 section 4.5, RFC 791 section 3.2.
		s.drop(forwarder.DropFragmentBad, "%d octets, and more to come", len(p.data))
		return nil, 0
	}
	packet := g.find(key)
	if packet == nil {
		packet = &incomplete{key: key, since: s.now}
		g.packets = append(g.packets, packet)
	}
	if packet.spoiled != nil {
		s.drop(*packet.spoiled, "its packet was given up")
		return nil, 0
	}
	for _, q := range packet.pieces {
		if q.at == p.at && q.more == p.more && bytes.Equal(q.data, p.data) {
			// RFC 8200 section 4.5 leaves the choice.
			s.drop(forwarder.DropFragmentDuplicate, "")
			return nil, 0
		}
	}
	// RFC 5722, for IPv4 too.
	for _, q := range packet.pieces {
		if disagree(p, q) || disagree(q, p) {
			s.spoil(packet, forwarder.DropFragmentBad, fmt.Sprintf("%d-%d and %d-%d disagree on the end", p.at, p.end(), q.at, q.end()))
			return nil, 0
		}
	}
	for _, q := range packet.pieces {
		if p.at < q.end() && q.at < p.end() {
			s.spoil(packet, forwarder.DropFragmentOverlap, fmt.Sprintf("%d-%d overlaps %d-%d", p.at, p.end(), q.at, q.end()))
			return nil, 0
		}
	}
	if len(packet.pieces) == limits.MaxFragments {
		s.spoil(packet, forwarder.DropFragmentLimit, "too many")
		return nil, 0
	}
	packet.pieces = append(packet.pieces, p)
	sorted := slices.SortedFunc(slices.Values(packet.pieces), func(a, b piece) int { return a.at - b.at })
	if !complete(sorted) {
		s.count(forwarder.FragmentsHeld)
		s.say("fragment held, %d of its packet are", len(sorted))
		return nil, 0
	}
	g.remove(packet)
	ecn, ok := joinedECN(sorted)
	if !ok {
		for range sorted {
			s.drop(forwarder.DropECN, "fragments disagree")
		}
		return nil, 0
	}
	// RFC 8200 section 4.5 and RFC 791: of the whole packet, with the headers
	// of the first fragment.
	if all := sorted[0].headerLen() + sorted[len(sorted)-1].end(); all > maxPacket {
		for range sorted {
			s.drop(forwarder.DropFragmentBad, "%d octets in all", all)
		}
		return nil, 0
	}
	s.count(forwarder.Reassembled)
	s.say("whole from %d fragments", len(sorted))
	return sorted, ecn
}

// disagree reports whether p says that the packet goes on where last ends it.
func disagree(p, last piece) bool {
	return !last.more && (p.end() > last.end() || p.more && p.end() == last.end())
}

// spoil gives a packet up: what is held of it, and the fragment that just came.
func (s *step) spoil(packet *incomplete, e forwarder.Event, why string) {
	for range packet.pieces {
		s.count(e)
	}
	s.drop(e, "%s", why)
	packet.pieces, packet.spoiled = nil, &e
}

// complete reports whether nothing is missing between sorted pieces.
func complete(sorted []piece) bool {
	at := 0
	for _, p := range sorted {
		if p.at != at {
			return false
		}
		at = p.end()
	}
	return !sorted[len(sorted)-1].more
}

func join(sorted []piece) []byte {
	var b []byte
	for _, p := range sorted {
		b = append(b, p.data...)
	}
	return b
}

// joinedECN is the ECN of a packet made of pieces (RFC 3168 section 5.3), or
// reports that the packet is to be dropped.
func joinedECN(sorted []piece) (ecn uint8, ok bool) {
	const notECT, ce = 0, 3
	has := make(map[uint8]bool)
	for _, p := range sorted {
		has[p.ecn] = true
	}
	if has[ce] {
		return ce, !has[notECT]
	}
	return sorted[0].ecn, true
}

// expire gives up packets that were not complete in time. That no error is sent
// is a choice: the packets are not for the lwAFTR itself, and their sender is no
// worse off than with a fragment lost elsewhere.
func (s *step) expire() {
	for _, side := range []struct {
		*gathering
		forwarder.ReassemblyConfig
	}{{&s.fromInternet, s.Config.Reassembly.IPv4}, {&s.fromB4s, s.Config.Reassembly.IPv6}} {
		for _, p := range slices.Clone(side.packets) {
			if s.now.Sub(p.since) < side.Timeout {
				continue
			}
			side.remove(p)
			for range p.pieces {
				s.drop(forwarder.DropFragmentTimeout, "%s", p.key)
			}
		}
	}
}
