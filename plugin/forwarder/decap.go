package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// pcpPort is where PCP servers listen (RFC 6887 section 19.1).
const pcpPort = 5351

// fromIPv6 processes a packet from the access network.
func (w *Worker) fromIPv6(p packet) {
	var h header6
	if event, ok := parse6(p.bytes(), &h); !ok {
		w.drop(event)
		return
	}
	p = p.trim(h.total)
	if w.refuses6(&h) {
		return
	}
	if martianSource6(&h.src) {
		w.drop(DropIPv6Martian)
		return
	}
	if !w.isBR(&h.dst) {
		w.drop(DropNotBR)
		return
	}
	if h.fragment {
		// Memory is given only to those who have a softwire: of everybody else
		// nothing is expected that comes in fragments.
		if !w.table.HasB4(h.src) {
			w.drop(DropFragmentStranger)
			return
		}
		if !w.reassemble6(&p, &h) {
			return
		}
		// Now the protocol is known: to be cut is no way past a filter.
		if w.refuses6(&h) {
			return
		}
	}
	switch h.next {
	case protoIPv4:
		w.decap(p, &h)
	case protoICMPv6:
		w.icmp6(p, &h)
	case protoUDP:
		w.udp6(p, &h)
	default:
		w.drop(DropIPv6Protocol)
	}
}

// refuses6 drops a packet from the access network that a filter refuses.
func (w *Worker) refuses6(h *header6) bool {
	if len(w.set.Filters.IPv6In) == 0 || !refuses(w.set.Filters.IPv6In, addr6(h.src[:]), addr6(h.dst[:]), h.next) {
		return false
	}
	w.drop(DropIPv6Filter)
	return true
}

// udp6 hands PCP over plain IPv6 to the control logic.
func (w *Worker) udp6(p packet, h *header6) {
	datagram := p.bytes()[h.payload:]
	if len(datagram) < 8 || binary.BigEndian.Uint16(datagram[2:]) != pcpPort {
		w.drop(DropIPv6Protocol)
		return
	}
	w.exception(dataplane.ReasonPCP, ExceptionPCP, p.bytes())
}

// exception hands a packet from the IPv6 side to the control logic.
func (w *Worker) exception(reason dataplane.Reason, event Event, b []byte) {
	if w.tracer != nil {
		w.count(event)
		w.tracer.step("handed to the control logic")
		return
	}
	if !w.shared.exceptions.offer(dataplane.SideIPv6, reason, b) {
		w.drop(DropExceptionQueue)
		return
	}
	w.count(event)
}

// decap takes the IPv4 packet out of a softwire and sends it on.
func (w *Worker) decap(p packet, outer *header6) {
	var h header4
	inner := p.from(outer.payload)
	if _, ok := parse4(inner.bytes(), &h); !ok {
		w.drop(DropInnerMalformed)
		return
	}
	inner = inner.trim(h.total)
	// Before the binding check: a lwB4 asks for its first binding this way.
	if isPCP(inner.bytes(), &h) {
		w.exception(dataplane.ReasonPCPSoftwire, ExceptionPCPSoftwire, p.bytes())
		return
	}
	from := origin{hairpin: true}
	var ok bool
	if from.softwire, ok = w.source(&inner, &h, p, outer); !ok {
		return
	}
	if w.tracer != nil {
		w.tracer.match("source", h.src, &from.softwire)
	}
	if martianDestination4(h.dst) {
		w.drop(DropInnerMartian)
		return
	}
	if h.proto == protoICMP && !w.set.ICMPv4.FromB4 && h.dst != w.set.own4 {
		w.drop(DropICMPv4Policy)
		return
	}
	// RFC 6040 section 4.2.
	tos, ok := decapECN(h.tos, outer.tclass)
	if !ok {
		w.drop(DropECN)
		return
	}
	if tos != h.tos {
		setTOS(inner.bytes(), tos)
		h.tos = tos
	}
	w.deliver(inner, &h, &from)
}

// Decapsulated processes buf[start:end], an IPv4 packet that another data plane
// took out of a softwire and checked: only the softwire of its source is looked
// for, to answer by. Otherwise it is as Packet.
func (w *Worker) Decapsulated(buf []byte, start, end int) {
	var h header4
	p := packet{buf, start, end}
	if event, ok := parse4(p.bytes(), &h); !ok {
		w.drop(event)
		return
	}
	p = p.trim(h.total)
	from := origin{hairpin: true}
	port, event, hasPort := portOf(p.bytes(), &h, fromB4)
	var ok bool
	switch from.softwire, ok = w.table.Lookup(h.src, port); {
	case !ok:
		w.drop(DropInnerSource)
	case !hasPort && !from.softwire.Whole:
		w.drop(event)
	default:
		w.deliver(p, &h, &from)
	}
}

// deliver sends an IPv4 packet on that came out of a softwire by right.
func (w *Worker) deliver(inner packet, h *header4, from *origin) {
	if h.dst == w.set.own4 {
		w.local4(inner, h, from)
		return
	}
	if h.ttl <= 1 {
		w.drop(DropTTL)
		w.timeExceeded(inner, h, from)
		return
	}
	if w.set.Hairpin && w.ours4(h.dst) {
		w.hairpin(inner, h, from)
		return
	}
	w.forward4(inner, h, from)
}

// hairpin sends a packet from one softwire into another (RFC 7596 section 6.2:
// MUST be supported, and configurable).
func (w *Worker) hairpin(inner packet, h *header4, from *origin) {
	decrementTTL(inner.bytes())
	h.ttl--
	w.shared.counters.softwires.add(from.softwire.Slot, fromB4, h.total)
	w.encap(inner, h, from)
}

// forward4 sends a packet out of a softwire to the IPv4 side.
func (w *Worker) forward4(inner packet, h *header4, from *origin) {
	decrementTTL(inner.bytes())
	h.ttl--
	tooLarge := h.total > w.set.IPv4MTU
	// Before the MSS is touched: errors quote what came (RFC 1812 section
	// 4.3.2.3).
	if tooLarge && h.df && !w.set.IgnoreDF {
		w.drop(DropTooBig)
		w.tooBig(inner, h, from, w.set.IPv4MTU)
		return
	}
	if w.set.ClampMSS && h.proto == protoTCP && !h.fragmented() && clampMSS(inner.bytes(), h, w.set.mss) {
		w.count(ClampedMSS)
	}
	if tooLarge {
		if !w.fragment4(inner, h.fragmented()) {
			return
		}
	} else {
		w.emit4(inner.bytes())
	}
	w.tally.decapsulated.add(h.total)
	w.shared.counters.softwires.add(from.softwire.Slot, fromB4, h.total)
}

// source finds the softwire that inner came out of and validates that it may:
// outer source, outer destination, inner address and inner port (RFC 7596
// section 6.2). It makes the packet whole first when its port is not in every
// fragment. p is the packet with the outer header.
func (w *Worker) source(inner *packet, h *header4, p packet, outer *header6) (from softwire.Match, ok bool) {
	if h.fragmented() {
		if from, ok = w.table.Lookup(h.src, 0); !ok || !from.Whole {
			// As for fragments of the tunnel packet.
			if !w.table.Address(h.src) {
				w.refuse(p, h, outer, DropInnerSource)
				return from, false
			}
			if !w.table.HasB4(outer.src) {
				w.refuse(p, h, outer, DropFragmentStranger)
				return from, false
			}
			if !w.reassembleInner(inner, h, outer) {
				return from, false
			}
		}
	}
	port, event, hasPort := portOf(inner.bytes(), h, fromB4)
	from, ok = w.lookup(h.src, port)
	if !hasPort && !(ok && from.Whole) {
		if !w.table.Address(h.src) {
			event = DropInnerSource
		}
		w.refuse(p, h, outer, event)
		return from, false
	}
	if mutate := w.set.mutation.innerPort; !ok && mutate != nil {
		from, ok = mutate(w.table, h.src, outer.src)
	}
	switch {
	case !ok && !w.table.Address(h.src):
		w.refuse(p, h, outer, DropInnerSource)
	case !ok:
		w.refuse(p, h, outer, DropInnerPort)
	case *from.B4 != outer.src && !w.set.mutation.outerSource:
		w.refuse(p, h, outer, DropOuterSource)
	case *from.BR != outer.dst && !w.set.mutation.outerDestination:
		w.refuse(p, h, outer, DropOuterDestination)
	default:
		return from, true
	}
	return from, false
}

// refuse drops a packet that did not come out of a softwire of its sender. h is
// the inner header.
func (w *Worker) refuse(p packet, h *header4, outer *header6, event Event) {
	w.drop(event)
	switch event {
	case DropInnerSource, DropInnerPort, DropOuterSource, DropOuterDestination, DropFragmentStranger:
		// No error about an error, nor about a later fragment. p is the one that
		// came last of a packet that had to be made whole.
		b := p.bytes()
		inner := b[outer.payload:]
		if offset := binary.BigEndian.Uint16(inner[6:]) & 0x1fff; offset == 0 &&
			!isICMPError(h, inner[min(h.length, len(inner)):]) {
			w.policyError(b, outer)
		}
	}
}

// isPCP reports whether an IPv4 packet in a softwire is PCP to the lwAFTR: to
// 192.0.0.1, and from an address that only the lwB4 itself has, so that hosts
// behind it cannot speak for it (RFC 6333 section 5.7, RFC 6887 section 19.1).
func isPCP(b []byte, h *header4) bool {
	return h.dst == [4]byte{192, 0, 0, 1} &&
		h.src[0] == 192 && h.src[1] == 0 && h.src[2] == 0 && h.src[3]&^7 == 0 &&
		h.proto == protoUDP && !h.fragmented() && h.total >= h.length+8 &&
		binary.BigEndian.Uint16(b[h.length+2:]) == pcpPort
}
