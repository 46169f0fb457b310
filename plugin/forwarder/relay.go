package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// relay turns an ICMPv6 error about a packet that we tunnelled into the ICMPv4
// error that RFC 2473 section 8.3 makes of it.
func (w *Worker) relay(p packet, h *header6) {
	message := p.bytes()[h.payload:]
	quoted := message[icmpHeaderLen:]
	inner, to, ok := w.tunnelled(quoted, h)
	if !ok {
		w.drop(DropICMPv6Unrelayed)
		return
	}
	if w.tracer != nil {
		w.tracer.step("the ICMPv6 error quotes a packet that was sent to lwB4 %s", addr6(to.B4[:]))
	}
	var code uint8
	var mtu uint32
	switch {
	case message[0] == icmp6TooBig:
		// RFC 2473 section 8.3, and section 7.2 for the condition: who let its
		// packets be cut is not told about sizes.
		if inner[6]&0x40 == 0 {
			w.drop(DropICMPv6Unrelayed)
			return
		}
		code = codeTooBig
		mtu = uint32(max(int64(binary.BigEndian.Uint32(message[4:]))-header6Len, minIPv4MTU))
		mtu = min(mtu, uint32(w.set.TunnelMTU-header6Len))
	case message[0] == icmp6Unreachable,
		message[0] == icmp6TimeExceeded && message[1] == codeHopLimitExceeded:
		code = codeHostUnreachable
	default:
		// A reassembly that timed out is not listed. Nor can a parameter problem
		// point at an encapsulation limit, since none is sent.
		w.drop(DropICMPv6Unrelayed)
		return
	}
	w.sendRelayed(inner, code, mtu)
}

// tunnelled checks that quoted begins with a tunnel packet that we sent from
// h.dst into a softwire of the table, and returns what of the IPv4 packet it
// quotes. Anybody in the access network can forge an error; this keeps forgers
// to flows of which they know both ends.
func (w *Worker) tunnelled(quoted []byte, h *header6) (inner []byte, to softwire.Match, ok bool) {
	if len(quoted) < header6Len || quoted[0]>>4 != 6 {
		return nil, to, false
	}
	next, at := quoted[6], header6Len
	if next == nextFragment {
		if len(quoted) < at+8 || binary.BigEndian.Uint16(quoted[at+2:])>>3 != 0 {
			return nil, to, false
		}
		next, at = quoted[at], at+8
	}
	inner = quoted[at:]
	if next != protoIPv4 || len(inner) < header4Len || inner[0]>>4 != 4 {
		return nil, to, false
	}
	// What we sent had a right header.
	if length := int(inner[0]&0x0f) * 4; length < header4Len || length > len(inner) || checksum.Of(inner[:length]) != 0 {
		return nil, to, false
	}
	dst := [4]byte(inner[16:20])
	if to, ok = w.table.Lookup(dst, 0); !ok || !to.Whole {
		port, found := quotedDestination(inner, &dst)
		if !found {
			return nil, to, false
		}
		to, ok = w.table.Lookup(dst, port)
	}
	ok = ok && *to.B4 == [16]byte(quoted[24:40]) && *to.BR == [16]byte(quoted[8:24]) && *to.BR == h.dst
	return inner, to, ok
}

// quotedDestination finds the port that a quoted packet to a lwB4 was looked up
// by, errors in it included.
func quotedDestination(b []byte, dst *[4]byte) (port uint16, ok bool) {
	if port, ok = quotedPort(b, dst, toB4); ok {
		return port, true
	}
	length := int(b[0]&0x0f) * 4
	if length < header4Len || len(b) < length+icmpHeaderLen || b[9] != protoICMP {
		return 0, false
	}
	return quotedPort(b[length+icmpHeaderLen:], dst, fromB4)
}

// sendRelayed sends an ICMPv4 error about inner, of which the end may be
// missing, to its source: on the IPv4 side, or into the softwire it came from.
func (w *Worker) sendRelayed(inner []byte, code uint8, rest uint32) {
	total := int(binary.BigEndian.Uint16(inner[2:]))
	original := header4{length: int(inner[0]&0x0f) * 4, proto: inner[9],
		fragment: binary.BigEndian.Uint16(inner[6:]) & 0x1fff,
		src:      [4]byte(inner[12:16])}
	inner = inner[:min(len(inner), total)]
	// RFC 1812 section 4.3.2.7, as for errors of our own.
	if len(inner) < original.length || isICMPError(&original, inner[original.length:]) ||
		original.fragment != 0 || martianSource4(original.src) || original.src == w.set.own4 {
		w.drop(DropICMPv6Unrelayed)
		return
	}
	if !w.limit4.allow(w.now, uint64(binary.BigEndian.Uint32(original.src[:])), w.set.ICMPv4.Rate) {
		w.count(LimitedICMPv4)
		return
	}
	tos := inner[1] &^ ecnMask
	e := w.buildICMP4(original.src, tos, icmp4Unreachable, code, rest, inner)
	w.count(RelayedICMPv6)
	if !w.ours4(original.src) {
		w.originate4(e)
		return
	}
	h := header4{length: header4Len, total: e.end - e.start, tos: tos, proto: protoICMP, src: w.set.own4, dst: original.src}
	w.encap(e, &h, &origin{generated: true})
}
