package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// origin is where an IPv4 packet that is to be encapsulated comes from.
type origin struct {
	// softwire is the one it came out of, valid when hairpin is set; the others
	// came from the IPv4 side or from the lwAFTR itself.
	softwire  softwire.Match
	hairpin   bool
	generated bool // by the lwAFTR itself
}

// fromIPv4 processes a packet from the IPv4 side.
func (w *Worker) fromIPv4(p packet) {
	var h header4
	if event, ok := parse4(p.bytes(), &h); !ok {
		w.drop(event)
		return
	}
	p = p.trim(h.total)
	if len(w.set.Filters.IPv4In) > 0 && refuses(w.set.Filters.IPv4In, addr4(h.src[:]), addr4(h.dst[:]), h.proto) {
		w.drop(DropIPv4Filter)
		return
	}
	// A source of our own is forged: no answer may go to it.
	if martianSource4(h.src) || martianDestination4(h.dst) || h.src == w.set.own4 {
		w.drop(DropIPv4Martian)
		return
	}
	if h.dst == w.set.own4 {
		w.local4(p, &h, &origin{})
		return
	}
	if h.proto == protoICMP && !w.set.ICMPv4.FromIPv4 {
		w.drop(DropICMPv4Policy)
		return
	}
	w.encap(p, &h, &origin{})
}

// encap sends an IPv4 packet into the softwire that its destination belongs to.
func (w *Worker) encap(p packet, h *header4, from *origin) {
	to, ok := w.destination(&p, h, from)
	if !ok {
		return
	}
	if w.tracer != nil {
		w.tracer.match("destination", h.dst, &to)
	}
	if !from.hairpin && !from.generated {
		// RFC 1812 section 5.3.1. A hairpinned packet was seen to on its way
		// out of the first softwire.
		if h.ttl <= 1 {
			w.drop(DropTTL)
			w.timeExceeded(p, h, from)
			return
		}
		decrementTTL(p.bytes())
	}
	// Before the MSS is touched: errors quote what came (RFC 1812 section
	// 4.3.2.3).
	if h.total+header6Len > w.set.TunnelMTU && h.df && !w.set.IgnoreDF {
		// RFC 2473 section 7.2 (a).
		w.drop(DropTooBig)
		w.tooBig(p, h, from, w.set.TunnelMTU-header6Len)
		return
	}
	if w.set.ClampMSS && h.proto == protoTCP && !h.fragmented() && clampMSS(p.bytes(), h, w.set.mss) {
		w.count(ClampedMSS)
	}
	if !from.generated {
		w.tally.forwarded(from, h.total)
		w.shared.counters.softwires.add(to.Slot, toB4, h.total)
	}
	w.tunnel(p, h, &to)
}

// destination finds the softwire that the packet's destination belongs to,
// making the packet whole first when its port is not in every fragment.
func (w *Worker) destination(p *packet, h *header4, from *origin) (to softwire.Match, ok bool) {
	if h.fragmented() {
		// An address that is not shared needs no port, so its fragments pass
		// as they are.
		if to, ok = w.table.Lookup(h.dst, 0); ok && to.Whole {
			return to, true
		}
		if !w.table.Address(h.dst) {
			w.unbound(*p, h, from, DropUnboundAddress)
			return to, false
		}
		var b4 *[16]byte
		if from.hairpin {
			b4 = from.softwire.B4
		}
		if ok = w.reassemble4(p, h, b4); !ok {
			return to, false
		}
	}
	port, event, hasPort := portOf(p.bytes(), h, toB4)
	to, ok = w.lookup(h.dst, port)
	switch {
	case ok && (hasPort || to.Whole):
		return to, true
	case !w.table.Address(h.dst):
		w.unbound(*p, h, from, DropUnboundAddress)
	case hasPort:
		w.unbound(*p, h, from, DropUnboundPort)
	default:
		w.drop(event)
	}
	return to, false
}

// unbound drops a packet that no softwire takes (RFC 7596 section 6.2: MUST
// discard, MAY answer 3/1).
func (w *Worker) unbound(p packet, h *header4, from *origin, event Event) {
	// RFC 7596 section 8.1: inbound ICMP that matches nothing is discarded, and
	// that is all.
	if h.proto == protoICMP {
		w.drop(DropICMPv4Unmatched)
		return
	}
	w.drop(event)
	w.unreachable(p, h, from)
}

// tunnel puts the IPv4 packet p into an IPv6 one to the lwB4 and sends that,
// in fragments if need be (RFC 2473 section 7.2 (b), RFC 6333 section 6.3).
func (w *Worker) tunnel(p packet, h *header4, to *softwire.Match) {
	if p.start < header6Len {
		// Only a caller without headroom comes here.
		q := w.arena.alloc(p.end - p.start)
		copy(q.bytes(), p.bytes())
		p = q
	}
	inner := p.bytes()
	p.start -= header6Len
	// The traffic class is copied, ECN included (RFC 2983 section 4.1 uniform
	// model, RFC 6040 section 4.1 normal mode).
	put6(p.bytes(), h.tos, flowLabel(inner, h), h.total, protoIPv4, uint8(w.set.HopLimit), to.BR, to.B4)
	if p.end-p.start > w.set.TunnelMTU {
		w.fragment6(p.bytes())
		return
	}
	w.emit6(p.bytes())
}

// flowLabel is the outer flow label of an inner flow, the same for all of its
// packets and never zero (RFC 6437 section 3, RFC 6438 section 3).
func flowLabel(inner []byte, h *header4) uint32 {
	key := uint64(binary.BigEndian.Uint32(h.src[:]))<<32 | uint64(binary.BigEndian.Uint32(h.dst[:]))
	ports := uint64(h.proto) << 32
	if (h.proto == protoTCP || h.proto == protoUDP) && !h.fragmented() && h.total >= h.length+4 {
		ports |= uint64(binary.BigEndian.Uint32(inner[h.length:]))
	}
	label := uint32(mix64(key^ports*0x9e3779b97f4a7c15)) & 0xfffff
	return max(label, 1)
}

// local4 answers what is sent to the lwAFTR's own IPv4 address: pings.
func (w *Worker) local4(p packet, h *header4, from *origin) {
	if h.proto != protoICMP {
		w.drop(DropLocal)
		return
	}
	if h.fragmented() {
		// RFC 1812 section 4.3.3.6: pings are made whole to be answered.
		var b4 *[16]byte
		if from.hairpin {
			b4 = from.softwire.B4
		}
		if !w.reassemble4(&p, h, b4) {
			return
		}
	}
	message := p.bytes()[h.length:]
	if len(message) < icmpHeaderLen || message[0] != icmp4Echo || message[1] != 0 || checksum.Of(message) != 0 {
		w.drop(DropLocal)
		return
	}
	old := binary.BigEndian.Uint16(message)
	message[0] = icmp4EchoReply
	checksum.Adjust(message[2:], old, binary.BigEndian.Uint16(message))
	// RFC 1122 section 3.2.2.6: from the address that was asked. Options are
	// left out: a source route may not come back as it is.
	reply := p.from(h.length - header4Len)
	w.putOrigin4(reply.bytes(), h.tos, h.src)
	w.count(EchoReplyIPv4)
	if from.hairpin {
		answer := header4{length: header4Len, total: reply.end - reply.start, tos: h.tos,
			proto: protoICMP, src: w.set.own4, dst: h.src}
		w.tunnel(reply, &answer, &from.softwire)
		return
	}
	w.originate4(reply)
}
