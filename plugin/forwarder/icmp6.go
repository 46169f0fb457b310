package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// ICMPv6 types and codes (RFC 4443).
const (
	icmp6Unreachable  = 1
	icmp6TooBig       = 2
	icmp6TimeExceeded = 3
	icmp6Parameter    = 4
	icmp6Echo         = 128
	icmp6EchoReply    = 129

	codeHopLimitExceeded = 0
	codeSourcePolicy     = 5
)

// maxICMP6Error is the most octets of an ICMPv6 error, IPv6 header included
// (RFC 4443 section 2.4 (c)).
const maxICMP6Error = 1280

// icmp6 processes ICMPv6 to a BR address.
func (w *Worker) icmp6(p packet, h *header6) {
	message := p.bytes()[h.payload:]
	if len(message) < icmpHeaderLen {
		w.drop(DropIPv6Malformed)
		return
	}
	if checksum.IPv6(&h.src, &h.dst, protoICMPv6, message) != 0 {
		w.drop(DropICMPv6Checksum)
		return
	}
	switch message[0] {
	case icmp6Echo:
		w.echo6(p, h)
	case icmp6Unreachable, icmp6TooBig, icmp6TimeExceeded, icmp6Parameter:
		if !w.set.ICMPv6.Relay {
			w.drop(DropICMPv6Policy)
			return
		}
		w.relay(p, h)
	default:
		w.drop(DropIPv6Protocol)
	}
}

// echo6 answers a ping of a BR address (RFC 4443 section 4.2).
func (w *Worker) echo6(p packet, h *header6) {
	// The reply has no extension headers: it begins where the message does.
	reply := p.from(h.payload)
	message := reply.bytes()
	old := binary.BigEndian.Uint16(message)
	message[0], message[1] = icmp6EchoReply, 0
	checksum.Adjust(message[2:], old, binary.BigEndian.Uint16(message))
	reply.start -= header6Len
	put6(reply.bytes(), h.tclass, 0, len(message), protoICMPv6, originTTL, &h.dst, &h.src)
	w.count(EchoReplyIPv6)
	if reply.end-reply.start > w.set.TunnelMTU {
		w.fragment6(reply.bytes())
		return
	}
	w.emit6(reply.bytes())
}

// policyError tells the sender of b that it has no such softwire (RFC 7596
// section 6.2, ICMPv6 type 1 code 5). The source is the BR address that it sent
// to, since it must ignore any other (section 5.1).
func (w *Worker) policyError(b []byte, outer *header6) {
	// A source of ours is forged, and an error to it would come back to us.
	if !w.set.ICMPv6.Policy || w.isBR(&outer.src) {
		return
	}
	// RFC 7596 section 9 and RFC 4443 section 2.4 (f): limited. A subscriber
	// may use any address of its /64, so that is what counts as destination.
	if !w.limit6.allow(w.now, binary.BigEndian.Uint64(outer.src[:]), w.set.ICMPv6.Rate) {
		w.count(LimitedICMPv6)
		return
	}
	// RFC 4443 section 2.4 (c).
	quoted := min(len(b), maxICMP6Error-header6Len-icmpHeaderLen)
	e := w.arena.alloc(header6Len + icmpHeaderLen + quoted)
	put6(e.bytes(), 0, 0, icmpHeaderLen+quoted, protoICMPv6, originTTL, &outer.dst, &outer.src)
	m := e.bytes()[header6Len:]
	m[0], m[1] = icmp6Unreachable, codeSourcePolicy
	binary.BigEndian.PutUint16(m[2:], 0)
	binary.BigEndian.PutUint32(m[4:], 0)
	copy(m[icmpHeaderLen:], b[:quoted])
	binary.BigEndian.PutUint16(m[2:], checksum.IPv6(&outer.dst, &outer.src, protoICMPv6, m))
	w.count(SentICMPv6Policy)
	w.emit6(e.bytes())
}
