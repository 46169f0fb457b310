package compare

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Protocol numbers that matter here.
const (
	protoHopByHop = 0
	protoICMP     = 1
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoRouting  = 43
	protoFragment = 44
	protoICMPv6   = 58
	protoDestOpts = 60
)

// maxHeaders bounds the extension headers of one packet.
const maxHeaders = 16

// errNotIP reports a packet that is neither IPv4 nor IPv6.
var errNotIP = errors.New("neither an IPv4 nor an IPv6 packet")

// field is one part of a packet that counts in a comparison.
type field struct {
	name  string
	value []byte
	// open values are equal if one begins with the other.
	open bool
}

// packet is a packet taken apart.
type packet struct {
	fields    []field
	wrongSums []string // names of checksums that are wrong
}

// extent says how much of a packet is there.
type extent uint8

const (
	whole  extent = iota
	first         // the first fragment of it: the end may be missing
	quoted        // quoted by an ICMP error: the end may be missing, and more or less of it may be quoted
)

// dissector takes one packet apart.
type dissector struct {
	packet
	rule   Rule
	own    netip.Addr
	prefix string // of field names: where in the packet we are
	// quotes is set when an ICMP error was found; the lengths of all headers
	// around it depend on how much it quotes.
	quotes bool
	depth  int
}

// dissect takes p apart into the fields that count under o.
func dissect(p []byte, o Options) (packet, error) {
	d := dissector{rule: o.Rule, own: o.Own}
	if err := d.ip(p, whole); err != nil {
		return packet{}, err
	}
	return d.packet, nil
}

// ip takes an IP packet apart.
func (d *dissector) ip(p []byte, e extent) error {
	// One inside the other four times is more than any real packet has: an
	// ICMPv6 error in IPv6, quoting IPv6 with IPv4 with an ICMPv4 error in it.
	if d.depth++; d.depth > 8 {
		return errors.New("headers nested too deeply")
	}
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return d.ipv4(p, e)
	case len(p) >= 40 && p[0]>>4 == 6:
		return d.ipv6(p, e)
	case e == quoted:
		d.add("start", p, true)
		return nil
	}
	return fmt.Errorf("%s%w", d.prefix, errNotIP)
}

func (d *dissector) add(name string, value []byte, open bool) {
	d.fields = append(d.fields, field{d.prefix + name, value, open})
}

// reserve keeps the place of a field whose value is known to count only after
// what follows it was seen.
func (d *dissector) reserve(name string, value []byte) (drop func()) {
	at := len(d.fields)
	d.add(name, value, false)
	return func() { d.fields[at].value = nil }
}

func (d *dissector) wrong(name string) {
	d.wrongSums = append(d.wrongSums, d.prefix+name)
}

// within runs take with a longer prefix of the field names.
func (d *dissector) within(prefix string, take func() error) error {
	saved := d.prefix
	d.prefix += prefix
	err := take()
	d.prefix = saved
	return err
}

// fit cuts p to the length its header states, which may exceed what is there
// only if the end may be missing.
func (d *dissector) fit(p []byte, length int, e extent) ([]byte, error) {
	if length <= len(p) {
		// Ethernet pads short frames; nothing else puts bytes behind a packet.
		const minEthernetPayload = 46
		switch {
		case length == len(p) || e == quoted:
		case d.prefix != "":
			d.add("trailing", p[length:], false)
		case len(p) > minEthernetPayload:
			return nil, fmt.Errorf("%d bytes behind the packet", len(p)-length)
		}
		return p[:length], nil
	}
	if e == whole {
		return nil, fmt.Errorf("%sthe header states %d bytes, %d are there", d.prefix, length, len(p))
	}
	return p, nil
}

// payload adds what is behind the last header that is understood. Of a quoted
// packet the first 8 bytes count (RFC 792 has them quoted always), and of the
// rest what both quote.
func (d *dissector) payload(p []byte, e extent) {
	if e != quoted {
		d.add("payload", p, false)
		return
	}
	n := min(len(p), 8)
	d.add("payload", p[:n], false)
	d.add("payload-rest", p[n:], d.rule == Normalised)
}

func be16(b []byte) int { return int(binary.BigEndian.Uint16(b)) }
