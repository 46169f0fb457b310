package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// ICMPv4 codes (RFC 792, RFC 1191).
const (
	codeHostUnreachable = 1
	codeTooBig          = 4
	codeTTLExceeded     = 0
)

// maxICMP4Error is the most octets of an ICMPv4 error, IP header included
// (RFC 1812 section 4.3.2.3).
const maxICMP4Error = 576

// originTTL is the TTL or hop limit of packets that the lwAFTR makes: the
// assigned default (RFC 1122 section 3.2.1.7). That of tunnels may be too small
// for the Internet.
const originTTL = 64

// unreachable answers a packet that no softwire takes (RFC 7596 section 6.2).
func (w *Worker) unreachable(p packet, h *header4, from *origin) {
	if w.set.ICMPv4.Unreachable {
		w.answer4(p, h, from, icmp4Unreachable, codeHostUnreachable, 0, SentICMPv4Unreachable)
	}
}

// tooBig answers a packet that says "don't fragment" and exceeds mtu octets
// (RFC 1191 section 4).
func (w *Worker) tooBig(p packet, h *header4, from *origin, mtu int) {
	if w.set.ICMPv4.TooBig {
		w.answer4(p, h, from, icmp4Unreachable, codeTooBig, uint32(mtu), SentICMPv4TooBig)
	}
}

// timeExceeded answers a packet whose TTL ran out (RFC 1812 section 5.3.1).
func (w *Worker) timeExceeded(p packet, h *header4, from *origin) {
	if w.set.ICMPv4.TimeExceeded {
		w.answer4(p, h, from, icmp4TimeExceeded, codeTTLExceeded, 0, SentICMPv4TimeExceeded)
	}
}

// answer4 sends an ICMPv4 error about p to its source, the way it came. rest is
// the second word of the ICMP header.
func (w *Worker) answer4(p packet, h *header4, from *origin, kind, code uint8, rest uint32, event Event) {
	b := p.bytes()
	switch {
	// RFC 1812 section 4.3.2.7: never about an ICMP error or a fragment other
	// than the first; sources and destinations that are not unicast were
	// dropped before.
	case isICMPError(h, b[h.length:]) || h.fragment != 0 || from.generated:
		return
	// A source of ours that comes in from the Internet is forged.
	case !from.hairpin && w.ours4(h.src):
		return
	case !w.limit4.allow(w.now, uint64(binary.BigEndian.Uint32(h.src[:])), w.set.ICMPv4.Rate):
		w.count(LimitedICMPv4)
		return
	}
	// RFC 1812 section 4.3.2.5: the precedence of the packet it is about.
	e := w.buildICMP4(h.src, h.tos&^ecnMask, kind, code, rest, b)
	w.count(event)
	if from.hairpin {
		answer := header4{length: header4Len, total: e.end - e.start, tos: h.tos &^ ecnMask,
			proto: protoICMP, src: w.set.own4, dst: h.src}
		w.tunnel(e, &answer, &from.softwire)
		return
	}
	w.originate4(e)
}

// originate4 sends a packet that the lwAFTR made to the IPv4 side, in fragments
// if that takes no packets of its size.
func (w *Worker) originate4(p packet) {
	if p.end-p.start > w.set.IPv4MTU {
		w.fragment4(p, false)
		return
	}
	w.emit4(p.bytes())
}

// buildICMP4 makes an ICMPv4 error to dst from the lwAFTR's own address that
// quotes as much of original as may be.
func (w *Worker) buildICMP4(dst [4]byte, tos, kind, code uint8, rest uint32, original []byte) packet {
	quoted := min(len(original), maxICMP4Error-header4Len-icmpHeaderLen)
	e := w.arena.alloc(header4Len + icmpHeaderLen + quoted)
	w.putOrigin4(e.bytes(), tos, dst)
	m := e.bytes()[header4Len:]
	m[0], m[1] = kind, code
	binary.BigEndian.PutUint16(m[2:], 0)
	binary.BigEndian.PutUint32(m[4:], rest)
	copy(m[icmpHeaderLen:], original[:quoted])
	binary.BigEndian.PutUint16(m[2:], checksum.Of(m))
	return e
}

// putOrigin4 writes the header of b, an ICMPv4 packet from the lwAFTR's own
// address, without options and free to be cut.
func (w *Worker) putOrigin4(b []byte, tos uint8, dst [4]byte) {
	b[0], b[1] = 4<<4|header4Len/4, tos
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[4:], uint16(w.nextRandom()))
	binary.BigEndian.PutUint16(b[6:], 0)
	b[8], b[9] = originTTL, protoICMP
	binary.BigEndian.PutUint16(b[10:], 0)
	copy(b[12:16], w.set.own4[:])
	copy(b[16:20], dst[:])
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b[:header4Len]))
}
