package compare

import (
	"fmt"
	"net/netip"
)

// ipv4 takes an IPv4 packet of at least 20 bytes apart.
func (d *dissector) ipv4(p []byte, e extent) error {
	header := int(p[0]&0x0f) * 4
	if header < 20 || header > len(p) {
		if e == quoted {
			d.add("start", p, true)
			return nil
		}
		return fmt.Errorf("%sIPv4 header of %d bytes", d.prefix, header)
	}
	length := be16(p[2:])
	if length < header {
		return fmt.Errorf("%sIPv4 total length %d is less than the header's", d.prefix, length)
	}
	p, err := d.fit(p, length, e)
	if err != nil {
		return err
	}
	if sum(p[:header]) != 0xffff {
		d.wrong("IPv4 header")
	}
	offset, more := be16(p[6:])&0x1fff, p[6]&0x20 != 0
	fragment := offset != 0 || more
	src, proto := netip.AddrFrom4([4]byte(p[12:16])), p[9]
	originated := e != quoted && src == d.own && proto == protoICMP

	d.add("ipv4.version-ihl", p[:1], false)
	d.add("ipv4.tos", p[1:2], false)
	dropLength := d.reserve("ipv4.total-length", p[2:4])
	// What a packet that passes through carries counts, unless the lwAFTR cut it.
	if d.rule == Exact || !originated && (!fragment || e == quoted) {
		d.add("ipv4.identification", p[4:6], false)
	}
	flags := []byte{p[6], p[7]}
	if d.rule == Normalised && originated {
		flags[0] &^= 0x40 // DF
	}
	d.add("ipv4.flags-offset", flags, false)
	d.add("ipv4.protocol", p[9:10], false)
	d.add("ipv4.source", p[12:16], false)
	d.add("ipv4.destination", p[16:20], false)
	d.add("ipv4.options", p[20:header], false)

	body := p[header:]
	switch {
	case offset != 0:
		d.add("payload", body, e == quoted && d.rule == Normalised)
		return nil
	case more:
		e = max(e, first)
	}
	if proto != protoICMP || len(body) < 8 {
		if e == whole && !transportSum4(p, header) {
			d.wrong("transport")
		}
		d.payload(body, e)
		return nil
	}
	err = d.icmp(body, e)
	if d.quotes && d.rule == Normalised {
		dropLength()
	}
	return err
}

// icmp takes an ICMPv4 message of at least 8 bytes apart.
func (d *dissector) icmp(p []byte, e extent) error {
	kind := p[0]
	// RFC 792: unreachable, source quench, redirect, time exceeded and
	// parameter problem quote a packet.
	isError := kind == 3 || kind == 4 || kind == 5 || kind == 11 || kind == 12
	if e == quoted || !isError {
		if e == whole && sum(p) != 0xffff {
			d.wrong("ICMPv4")
		}
		d.payload(p, e)
		return nil
	}
	d.quotes = true
	d.add("icmp.type-code", p[:2], false)
	// The checksum covers the quoted TTL, so it is checked and not compared. Of
	// a fragment it cannot be checked.
	if e == whole && sum(p) != 0xffff {
		d.wrong("ICMPv4")
	}
	d.add("icmp.rest", p[4:8], false)
	return d.within("quoted ", func() error { return d.ip(p[8:], quoted) })
}
