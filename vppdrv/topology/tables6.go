package topology

import "net/netip"

// Well-known numbers of PCP in a softwire (RFC 6333 section 5.7, RFC 6887
// section 19.1).
const pcpPort = 5351

var (
	wellKnown     = netip.MustParsePrefix("192.0.0.0/29")
	wellKnownAFTR = netip.MustParseAddr("192.0.0.1")
)

// The shapes of the tables for IPv6.
var (
	shapeNext        = fields{byteAt(ip6Next, 0)}
	shapePayload     = fields{wordAt(ip6Length, 0xffff, 0)}
	shapeSource      = fields{addrAt(ip6Source, netip.IPv6Unspecified())}
	shapeWellKnown   = fields{prefixAt(innerSource, wellKnown)}
	shapeICMP6       = fields{byteAt(ip6Payload, 0)}
	shapePCP         = fields{byteAt(ip6Next, 0), wordAt(ip6Payload+2, 0xffff, 0)}
	shapePCPSoftwire = pcpInSoftwire()
	shapeWhole       = wholeFields(netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.IPv6Unspecified())
	shapeInner       = fields{addrAt(innerSource, netip.IPv4Unspecified())}
)

// pcpInSoftwire is PCP in a tunnel packet. That it comes from 192.0.0.0/29 was
// seen to when it came this far.
func pcpInSoftwire() fields {
	const withoutOptions, fragment = 0x45, 0x3fff
	return fields{
		byteAt(ip6Next, protoIPIP), byteAt(inner, withoutOptions), wordAt(innerFragment, fragment, 0),
		byteAt(innerProtocol, protoUDP), addrAt(innerDestination, wellKnownAFTR), wordAt(innerPayload+2, 0xffff, pcpPort),
	}
}

// decapTables makes the tables that all decaps share and returns the first and
// the last. Packets that match none of them are decapsulated.
func (v *vpp) decapTables(c Config, g gates) (first, last uint32) {
	toPCP := session{next: permit, action: setTable6, table: c.table(tablePCP)}
	last = v.addTable("well-known sources", table{shape: shapeWellKnown, next: none, miss: g.map6})
	v.addSessions(last, []session{toPCP.with(prefixAt(innerSource, wellKnown))})

	// To VPP the rule of a free PSID is the address ::, which is no address to
	// send from.
	sources := v.addTable("unspecified sources", table{shape: shapeSource, next: last, miss: g.map6})
	v.addSessions(sources, []session{{fields: shapeSource, next: deny}})

	// ip6-map takes a tunnel packet without a payload for another packet.
	payloads := v.addTable("payload lengths", table{shape: shapePayload, next: sources, miss: g.map6, buckets: 1024})
	var short []session
	for length := range uint16(shortest + 1) {
		short = append(short, session{fields: fields{wordAt(ip6Length, 0xffff, length)}, next: deny})
	}
	v.addSessions(payloads, short)

	first = v.addTable("next headers", table{shape: shapeNext, next: payloads, miss: g.map6, buckets: 1024})
	var others []session
	for next := range 256 {
		s := session{next: permit}
		switch next {
		case protoIPIP:
			continue
		case protoUDP:
			s = toPCP
		case protoICMP6:
			s = session{next: permit, action: setTable6, table: c.table(tableICMP6)}
		case protoHopByHop, protoRouting, protoOptions:
			// A tunnel encapsulation limit (RFC 2473 section 4.1.1) is an option.
			s = session{next: permit, action: setTable6, table: c.table(tableTunnels)}
		}
		others = append(others, s.with(byteAt(ip6Next, byte(next))))
	}
	v.addSessions(first, others)
	return first, last
}

// pcpTables makes the tables of pcp: PCP is punted, other UDP is VPP's own
// business, and what else comes from well-known sources is nobody's.
func (v *vpp) pcpTables(c Config, g gates) uint32 {
	rest := v.addTable("rest of PCP", table{shape: shapeNext, next: none, miss: deny})
	v.addSessions(rest, []session{
		{fields: fields{byteAt(ip6Next, protoUDP)}, next: permit, action: setTable6, table: c.table(tableBR)},
	})
	softwire := v.addTable("PCP in softwires", table{shape: shapePCPSoftwire, next: rest, miss: deny})
	v.addSessions(softwire, []session{{fields: pcpInSoftwire(), next: g.punt6, advance: puntBack}})
	head := v.addTable("PCP", table{shape: shapePCP, next: softwire, miss: deny})
	v.addSessions(head, []session{{
		fields: fields{byteAt(ip6Next, protoUDP), wordAt(ip6Payload+2, 0xffff, pcpPort)},
		next:   g.punt6, advance: puntBack,
	}})
	return head
}

// icmp6Tables makes the table of icmp6: errors about our tunnel packets are
// punted (RFC 4443 section 2.1: types 1 to 4), the rest is VPP's own business.
func (v *vpp) icmp6Tables(c Config, g gates) uint32 {
	const lastError = 4
	index := v.addTable("ICMPv6", table{shape: shapeICMP6, next: none, miss: deny, buckets: 1024})
	var all []session
	for kind := range 256 {
		s := session{next: permit, action: setTable6, table: c.table(tableBR)}
		if kind >= 1 && kind <= lastError {
			s = session{next: g.punt6, advance: puntBack}
		}
		all = append(all, s.with(byteAt(ip6Payload, byte(kind))))
	}
	v.addSessions(index, all)
	return index
}

// wholeFields are tunnel packets of the softwire of a whole address.
func wholeFields(ip, b4, br netip.Addr) fields {
	return fields{addrAt(ip6Source, b4), addrAt(ip6Destination, br), addrAt(innerSource, ip)}
}

// wholeSession decapsulates without ip6-map, which takes only packets with
// ports.
func wholeSession(g gates, ip, b4, br netip.Addr) session {
	return session{fields: wholeFields(ip, b4, br), next: g.lookup4, advance: ip6Payload}
}

// lowBits is the port bits that are all zero in the excluded low block.
func lowBits(offset uint8) uint16 { return ^uint16(0) << (16 - offset) }

// excludedPorts are tunnel packets from an address with a port of the excluded
// low block (RFC 7597 section 5.1), which ip6-map does not look for. Fragments
// other than the first have no port, and wait for the first one.
func excludedPorts(ip netip.Addr, offset, protocol uint8) fields {
	const fragmentOffset = 0x1fff
	return fields{
		wordAt(innerFragment, fragmentOffset, 0), byteAt(innerProtocol, protocol), addrAt(innerSource, ip),
		wordAt(innerPayload, lowBits(offset), 0),
	}
}

// excludedIDs are ICMP messages of a type from an address with an identifier
// of the excluded low block.
func excludedIDs(ip netip.Addr, offset, kind uint8) fields {
	return fields{
		byteAt(innerProtocol, protoICMP), addrAt(innerSource, ip), byteAt(innerPayload, kind),
		wordAt(innerPayload+4, lowBits(offset), 0),
	}
}
