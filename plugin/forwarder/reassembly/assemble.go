package reassembly

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// isolated returns the packet that f is all of.
func (t *Table) isolated(f *piece, into Arena) ([]byte, Cause) {
	if !f.whole {
		c := context{pieces: none, first: none}
		return t.assemble(&c, f, into)
	}
	packet := into.Alloc(len(f.packet))
	if packet == nil {
		return nil, NoMemory
	}
	copy(packet, f.packet)
	return packet, 0
}

// assemble returns the packet that c and its missing fragment f make.
func (t *Table) assemble(c *context, f *piece, into Arena) ([]byte, Cause) {
	mark, ok := congested(c.seen | 1<<f.ecn)
	if !ok {
		return nil, MixedECN
	}
	h := c.head
	if f.start == 0 {
		h = f.head
	}
	size, limit := h.header+c.received+len(f.data()), maxPayload
	if f.key.family == family6 {
		limit += headerLen6
	}
	if size > limit {
		return nil, TooLong
	}
	packet := into.Alloc(size)
	if packet == nil {
		return nil, NoMemory
	}
	var next [1]byte // IPv6: what followed the Fragment header
	if f.start == 0 {
		copy(packet, f.packet[:h.header])
		copy(next[:], f.packet[h.header:])
	} else {
		t.pool.load(packet[:h.header], c.first, 0)
		t.pool.load(next[:], c.first, h.header)
	}
	t.copyData(packet[h.header:], c)
	copy(packet[h.header+f.start:], f.data())
	if f.key.family == family6 {
		packet[h.next] = next[0]
		finish6(packet, mark)
	} else {
		finish4(packet, h.header, mark)
	}
	return packet, 0
}

// copyData puts the fragments of c to their places in data.
func (t *Table) copyData(data []byte, c *context) {
	for i := c.pieces; i != none; i = t.pieces[i].older {
		skip := 0
		if i == c.first {
			skip = c.head.prefix
		}
		t.pool.load(data[t.pieces[i].start:t.pieces[i].end], i, skip)
	}
}

// finish6 completes the header of a whole IPv6 packet (RFC 8200 section 4.5).
func finish6(packet []byte, mark bool) {
	binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)-headerLen6))
	if mark {
		packet[1] |= ecnCE << 4
	}
}

// finish4 completes the header of a whole IPv4 packet (RFC 791 section 3.2).
func finish4(packet []byte, header int, mark bool) {
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	binary.BigEndian.PutUint16(packet[6:], 0)
	if mark {
		packet[1] |= ecnCE
	}
	binary.BigEndian.PutUint16(packet[10:], 0)
	binary.BigEndian.PutUint16(packet[10:], checksum.Of(packet[:header]))
}
