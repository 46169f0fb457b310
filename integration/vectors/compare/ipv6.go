package compare

import "fmt"

// ipv6 takes an IPv6 packet of at least 40 bytes apart.
func (d *dissector) ipv6(p []byte, e extent) error {
	p, err := d.fit(p, 40+be16(p[4:]), e)
	if err != nil {
		return err
	}
	d.add("ipv6.class", []byte{p[0]<<4 | p[1]>>4}, false)
	if e == quoted {
		// Not chosen by the lwAFTR, but quoted.
		d.add("ipv6.flow-label", []byte{p[1] & 0x0f, p[2], p[3]}, false)
	}
	dropLength := d.reserve("ipv6.payload-length", p[4:6])
	d.add("ipv6.next-header", p[6:7], false)
	d.add("ipv6.source", p[8:24], false)
	d.add("ipv6.destination", p[24:40], false)

	err = d.upper(p, e)
	if d.quotes && d.rule == Normalised {
		dropLength()
	}
	return err
}

// upper takes what follows the IPv6 header of p apart.
func (d *dissector) upper(p []byte, e extent) error {
	next, body := p[6], p[40:]
	for range maxHeaders {
		size := 8
		switch next {
		case protoHopByHop, protoRouting, protoDestOpts:
			if len(body) >= 2 {
				size = 8 + int(body[1])*8
			}
		case protoFragment:
		case protoIPv4:
			if len(body) < 20 && e != whole {
				d.payload(body, e)
				return nil
			}
			return d.within("inner ", func() error { return d.ip(body, e) })
		case protoICMPv6:
			if len(body) >= 8 {
				return d.icmpv6(p, body, e)
			}
			d.payload(body, e)
			return nil
		default:
			if e == whole && !transportSum6(p, next, body) {
				d.wrong("transport")
			}
			d.payload(body, e)
			return nil
		}
		if len(body) < size {
			if e == whole {
				return fmt.Errorf("%sextension header %d of %d bytes, %d are there", d.prefix, next, size, len(body))
			}
			d.payload(body, e)
			return nil
		}
		if next == protoFragment {
			offset, more := be16(body[2:])&^7, body[3]&1 != 0
			d.add("fragment.next-header", body[:1], false)
			d.add("fragment.offset", body[2:4], false)
			if d.rule == Exact || e == quoted {
				d.add("fragment.identification", body[4:8], false)
			}
			if offset != 0 {
				d.add("payload", body[8:], e == quoted && d.rule == Normalised)
				return nil
			}
			if more {
				e = max(e, first)
			}
		} else {
			d.add(fmt.Sprintf("extension-%d", next), body[:size], false)
		}
		next, body = body[0], body[size:]
	}
	return fmt.Errorf("%smore than %d extension headers", d.prefix, maxHeaders)
}

// icmpv6 takes an ICMPv6 message of at least 8 bytes apart; p is the packet
// around it.
func (d *dissector) icmpv6(p, body []byte, e extent) error {
	if e == whole && sum6(p, protoICMPv6, body) != 0xffff {
		d.wrong("ICMPv6")
	}
	// RFC 4443 section 2.1: error messages have types below 128.
	if e == quoted || body[0] >= 128 {
		d.payload(body, e)
		return nil
	}
	d.quotes = true
	d.add("icmpv6.type-code", body[:2], false)
	d.add("icmpv6.rest", body[4:8], false)
	return d.within("quoted ", func() error { return d.ip(body[8:], quoted) })
}
