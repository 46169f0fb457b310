package topology

// gates are the numbers by which VPP's classifier nodes send packets elsewhere.
type gates struct {
	map4, punt4          uint32 // of ip4-inacl
	map6, lookup4, punt6 uint32 // of ip6-inacl
}

// The nodes behind the gates.
const (
	node4, node6 = "ip4-inacl", "ip6-inacl"
	nodePunt     = "ip6-proto-punt-socket"
)

func (v *vpp) gates(next func(node, to string) uint32) gates {
	return gates{
		map4: next(node4, "ip4-map"), punt4: next(node4, nodePunt),
		map6: next(node6, "ip6-map"), lookup4: next(node6, "ip4-lookup"), punt6: next(node6, nodePunt),
	}
}

// The punt node takes the seventh octet of what it is given for the protocol.
// Moved back by this much, a packet shows it the octet with the IP version.
const puntBack = -6

// Versions as the first octet of a header says them, without the rest of it.
const (
	versionMask = 0xf0
	version4    = 0x40
	version6    = 0x60
)

// The shapes of the tables for IPv4.
var (
	shapeLengthTTL = fields{wordAt(ip4Length, shortMask, 0), byteAt(ip4TTL, 0)}
	shapeTTL       = fields{byteAt(ip4TTL, 0)}
	shapeLength    = fields{wordAt(ip4Length, 0xffff, 0)}
	shapeProtocol  = fields{byteAt(ip4Protocol, 0)}
	shapeICMP      = fields{byteAt(ip4Protocol, 0), byteAt(ip4Payload, 0)}
	shapeVersion   = fields{maskedAt(0, versionMask, 0)}
)

// Packets are looked at more closely whose length is below 32: the mask has one
// value for all of these, and 2,047 others.
const (
	shortMask  = 0xffe0
	shortShift = 5
	shortest   = 20 // there is nothing below, which IPv4 input has seen to
	withPorts  = 28 // from here on VPP looks for ports
)

// protocolTable makes the last table of encap and hairpin. Packets that match
// none of them are encapsulated.
func (v *vpp) protocolTable(c Config, g gates) uint32 {
	protocols := v.addTable("protocols", table{shape: shapeProtocol, next: none, miss: g.map4, buckets: 1024})
	noPorts := noPorts(c)
	var all []session
	for p := range 256 {
		if p != protoTCP && p != protoUDP {
			all = append(all, noPorts.with(byteAt(ip4Protocol, byte(p))))
		}
	}
	v.addSessions(protocols, all)
	return protocols
}

// rareTable makes the first table of encap or hairpin; expired packets go where
// a FIB table leads. VPP's MAP takes the TTL down and drops silently what has
// none left; and it takes what is too short for ports to be for PSID 0.
func (v *vpp) rareTable(c Config, g gates, leads, next uint32) uint32 {
	rare := v.addTable("TTL and length", table{shape: shapeLengthTTL, next: next, miss: g.map4, buckets: 1 << 14})
	expired := session{next: permit, action: setTable4, table: c.table(leads)}
	var all []session
	for length := range 1 << (16 - shortShift) {
		all = append(all, expired.with(wordAt(ip4Length, shortMask, uint16(length)<<shortShift), byteAt(ip4TTL, 1)))
	}
	for ttl := range 256 {
		if ttl != 1 {
			all = append(all, noPorts(c).with(wordAt(ip4Length, shortMask, 0), byteAt(ip4TTL, byte(ttl))))
		}
	}
	v.addSessions(rare, all)
	return rare
}

func noPorts(c Config) session {
	return session{next: permit, action: setTable4, table: c.table(tableNoPorts)}
}

// with is s for packets with certain fields.
func (s session) with(f ...field) session {
	s.fields = f
	return s
}

// wholeTables makes the tables of whole: everything is encapsulated but what
// expires.
func (v *vpp) wholeTables(c Config, g gates) uint32 {
	head := v.addTable("TTL", table{shape: shapeTTL, next: none, miss: g.map4})
	v.addSessions(head, expiring(c))
	return head
}

func expiring(c Config) []session {
	return []session{{fields: fields{byteAt(ip4TTL, 1)}, next: permit, action: setTable4, table: c.table(tablePuzzles)}}
}

// sharedTables makes the tables of shared. Echo requests and replies are
// encapsulated by their identifier, and what was only short by its ports; other
// ICMP is a puzzle, and nothing else belongs to anybody.
func (v *vpp) sharedTables(c Config, g gates) uint32 {
	protocols := v.addTable("protocols of shared", table{shape: shapeProtocol, next: none, miss: deny})
	v.addSessions(protocols, []session{
		{fields: fields{byteAt(ip4Protocol, protoTCP)}, next: g.map4},
		{fields: fields{byteAt(ip4Protocol, protoUDP)}, next: g.map4},
		{fields: fields{byteAt(ip4Protocol, protoICMP)}, next: permit, action: setTable4, table: c.table(tablePuzzles)},
	})
	const echoReply, echoRequest = 0, 8
	icmp := v.addTable("ICMP of shared", table{shape: shapeICMP, next: protocols, miss: deny})
	v.addSessions(icmp, []session{
		{fields: fields{byteAt(ip4Protocol, protoICMP), byteAt(ip4Payload, echoReply)}, next: g.map4},
		{fields: fields{byteAt(ip4Protocol, protoICMP), byteAt(ip4Payload, echoRequest)}, next: g.map4},
	})
	own := v.addTable("own errors", table{shape: shapeOwnError, next: icmp, miss: deny})
	v.addSessions(own, ownErrorSessions(c, session{next: g.map4}))
	lengths := v.addTable("lengths of shared", table{shape: shapeLength, next: own, miss: deny})
	var short []session
	for length := uint16(shortest); length < withPorts; length++ {
		short = append(short, session{fields: fields{wordAt(ip4Length, 0xffff, length)}, next: deny})
	}
	v.addSessions(lengths, short)
	head := v.addTable("TTL of shared", table{shape: shapeTTL, next: lengths, miss: deny})
	v.addSessions(head, expiring(c))
	return head
}

// puntTable makes a table that gives all packets of an IP version to the punt
// node.
func (v *vpp) puntTable(first byte, gate uint32) uint32 {
	index := v.addTable("punt", table{shape: shapeVersion, next: none, miss: deny})
	v.addSessions(index, []session{{fields: fields{maskedAt(0, versionMask, first)}, next: gate, advance: puntBack}})
	return index
}
