package topology

import (
	"encoding/hex"
	"fmt"
	"net/netip"
)

// VPP's classifier compares whole vectors of 16 bytes.
const vector = 16

// maxVectors is how many it compares at most.
const maxVectors = 5

// fields is what some bytes of a packet must be, counted from its IP header.
type fields []field

type field struct {
	at          int
	mask, value []byte
}

// byteAt is one byte.
func byteAt(at int, value byte) field { return maskedAt(at, 0xff, value) }

// maskedAt is some bits of one byte.
func maskedAt(at int, mask, value byte) field { return field{at, []byte{mask}, []byte{value}} }

// wordAt is some bits of two bytes.
func wordAt(at int, mask, value uint16) field {
	return field{at, []byte{byte(mask >> 8), byte(mask)}, []byte{byte(value >> 8), byte(value)}}
}

// addrAt is an address.
func addrAt(at int, a netip.Addr) field {
	value := a.AsSlice()
	mask := make([]byte, len(value))
	for i := range mask {
		mask[i] = 0xff
	}
	return field{at, mask, value}
}

// prefixAt is the part of an address that a prefix states.
func prefixAt(at int, p netip.Prefix) field {
	f := addrAt(at, p.Masked().Addr())
	for i := range f.mask {
		if left := p.Bits() - 8*i; left < 8 {
			f.mask[i] = byte(uint16(0xff00) >> max(left, 0))
		}
	}
	return f
}

// span is the vectors that fs touch: the first and how many.
func (fs fields) span() (skip, count int) {
	first, last := 1<<16, 0
	for _, f := range fs {
		first, last = min(first, f.at), max(last, f.at+len(f.mask)-1)
	}
	skip = first / vector
	return skip, last/vector - skip + 1
}

// mask is what VPP compares, without the vectors that it skips.
func (fs fields) mask() []byte {
	skip, count := fs.span()
	b := make([]byte, (skip+count)*vector)
	for _, f := range fs {
		copy(b[f.at:], f.mask)
	}
	return b[skip*vector:]
}

// match is what VPP compares with, skipped vectors included.
func (fs fields) match() []byte {
	skip, count := fs.span()
	b := make([]byte, (skip+count)*vector)
	for _, f := range fs {
		for i := range f.value {
			b[f.at+i] = f.value[i] & f.mask[i]
		}
	}
	return b
}

// The places of fields. Those of the packet inside a tunnel packet assume an
// outer header without extensions.
const (
	ip4Length, ip4TTL, ip4Protocol, ip4Source, ip4Destination, ip4Payload = 2, 8, 9, 12, 16, 20

	ip6Length, ip6Next, ip6Source, ip6Destination, ip6Payload = 4, 6, 8, 24, 40

	inner            = ip6Payload
	innerFragment    = inner + 6
	innerProtocol    = inner + ip4Protocol
	innerSource      = inner + ip4Source
	innerDestination = inner + ip4Destination
	innerPayload     = inner + ip4Payload
)

// Protocol numbers.
const (
	protoHopByHop = 0
	protoICMP     = 1
	protoIPIP     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoRouting  = 43
	protoICMP6    = 58
	protoOptions  = 60
)

// permit lets the packet go on in VPP's feature arc.
const permit = ^uint32(0)

// deny drops the packet.
const deny = 0

// none is no table.
const none = ^uint32(0)

// An action says in which FIB table a packet is looked up that goes on.
type action uint8

const (
	keepTable action = iota
	setTable4
	setTable6
)

// session is what happens to packets with certain fields.
type session struct {
	fields  fields
	next    uint32 // permit, deny, or where
	advance int32  // in the packet, before it goes on
	action  action
	table   uint32 // for action
}

// line is the command line that adds or deletes s in a table of VPP.
func (s session) line(add bool, index uint32) string {
	match := hex.EncodeToString(s.fields.match())
	if !add {
		return fmt.Sprintf("classify session del table-index %d match hex %s", index, match)
	}
	next := fmt.Sprint(s.next)
	if s.next == permit {
		next = "permit"
	}
	line := fmt.Sprintf("classify session acl-hit-next %s table-index %d match hex %s advance %d", next, index, match, s.advance)
	switch s.action {
	case setTable4:
		line += fmt.Sprintf(" action set-ip4-fib-id %d", s.table)
	case setTable6:
		line += fmt.Sprintf(" action set-ip6-fib-id %d", s.table)
	}
	return line
}
