package topology

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"sync/atomic"

	"go.fd.io/govpp/api"

	"github.com/lwaftr/lw4o6/vppdrv/plan"
)

// Topology is what is ours in one VPP, around its MAP plugin.
type Topology struct {
	config  Config
	conn    api.Connection
	loops   map[role]Index
	brs     map[netip.Addr]*brLoop
	gates   gates
	tables  decapIndexes
	detours detours
	// reasons are read while BR addresses come and go.
	reasons atomic.Pointer[map[Index]Reason]
	whole   string // VPP's name of the interface for whole addresses
	nowhere netip.Addr
}

// brLoop is the interface of one BR address.
type brLoop struct {
	index Index
	// foreign is the table of addresses that have another BR address, or none.
	foreign uint32
}

// decapIndexes are the tables of decap that change.
type decapIndexes struct {
	first, last uint32
	whole       uint32              // sessions of whole addresses, or none
	excluded    map[uint8][2]uint32 // by psid-offset: of ports and of identifiers
}

// Build makes the topology in a VPP that has nothing of ours.
func Build(ctx context.Context, conn api.Connection, c Config) (*Topology, error) {
	t := &Topology{
		config: c, conn: conn, loops: make(map[role]Index), brs: make(map[netip.Addr]*brLoop),
		tables: decapIndexes{whole: none, excluded: make(map[uint8][2]uint32)}, nowhere: random(),
	}
	v := newVPP(ctx, conn)
	t.makeTables(v)
	t.makeLoops(v)
	t.gates = v.gates(v.next)
	t.makeClassifier(v)
	t.police(v)
	t.makeRoutes(v)
	t.setParameters(v)
	t.whole = v.nameOf(t.loops[whole])
	t.explain()
	// Whoever finds this tag finds all the rest.
	v.do("tag", func() error { return v.setTag(t.loops[encap], t.completeTag()) })
	if v.err != nil {
		return nil, fmt.Errorf("making the topology in VPP: %w", v.err)
	}
	return t, nil
}

// random is an address that nobody can guess (RFC 4193 section 3.2.1 with a
// random subnet and interface, too).
func random() netip.Addr {
	a := [16]byte{0: 0xfd}
	rand.Read(a[1:]) // never fails, as its documentation says
	return netip.AddrFrom16(a)
}

// Nowhere is the lwB4 address that nobody has; see plan.Layout.
func (t *Topology) Nowhere() netip.Addr { return t.nowhere }

func (t *Topology) makeTables(v *vpp) {
	c := t.config
	for offset, name := range map[uint32]string{
		tableInside: "inside", tableErrors: "errors", tableHairpinErrors: "hairpin-errors", tablePuzzles: "puzzles",
		tableExpired: "expired", tableNoPorts: "no-ports", tableNothing: "nothing",
	} {
		v.table(c.table(offset), false, c.tag(role(name)))
	}
	for offset, name := range map[uint32]string{tableBR: "br", tablePCP: "pcp", tableICMP6: "icmp6", tableTunnels: "tunnels", tableHairpin: "hairpin", tableVoid: "void"} {
		v.table(c.table(offset), true, c.tag(role(name)))
	}
}

// makeLoops makes the interfaces. Those that encapsulate are in the table of
// errors: only errors are looked up there, what is encapsulated is IPv6.
func (t *Topology) makeLoops(v *vpp) {
	c := t.config
	errors4Table, nothing, void := c.table(tableErrors), c.table(tableNothing), c.table(tableVoid)
	for _, l := range []struct {
		role           role
		table4, table6 uint32
	}{
		{encap, errors4Table, c.IPv6Table},
		{hairpin, c.table(tableHairpinErrors), c.table(tableHairpin)},
		{whole, errors4Table, c.IPv6Table},
		{shared, errors4Table, c.IPv6Table},
		{inside, c.IPv4Table, void},
		{puzzles, nothing, void},
		{expired, nothing, void},
		{own, nothing, void},
		{errors4, nothing, void},
		{pcp, nothing, c.table(tableBR)},
		{icmp6, nothing, c.table(tableBR)},
		{tunnels, nothing, void},
		{nobody, nothing, void},
		{hairpinNobody, nothing, void},
	} {
		tag := c.tag(l.role)
		if l.role == nobody {
			tag += ":" + t.nowhere.String()
		}
		t.loops[l.role] = v.loopback(tag, l.table4, l.table6)
	}
	for _, r := range []role{encap, hairpin, whole, shared} {
		v.reassemble(t.loops[r], false)
	}
	// The same address three times: the tables differ.
	for _, r := range []role{inside, encap, hairpin} {
		v.address(t.loops[r], c.Own4)
	}
	for _, r := range []role{whole, shared} {
		v.borrow(t.loops[r], t.loops[encap])
	}
}

func (t *Topology) makeClassifier(v *vpp) {
	c, g := t.config, t.gates
	t.tables.first, t.tables.last = v.decapTables(c, g)
	// VPP finds tables by interface. This one keeps those of decap findable
	// while there is no BR address; no IPv6 packet ever comes in by it.
	v.apply(t.loops[inside], true, t.tables.first)

	// Nothing is looked up from the last interfaces: a packet that they let go
	// on would come in by them again.
	punt4, punt6 := v.puntTable(version4, g.punt4), v.puntTable(version6, g.punt6)
	for _, r := range []role{puzzles, expired, own, errors4} {
		v.apply(t.loops[r], false, punt4)
	}
	for _, r := range []role{tunnels, nobody, hairpinNobody} {
		v.apply(t.loops[r], true, punt6)
	}
	v.apply(t.loops[pcp], true, v.pcpTables(c, g))
	v.apply(t.loops[icmp6], true, v.icmp6Tables(c, g))

	v.apply(t.loops[whole], false, v.wholeTables(c, g))
	v.apply(t.loops[shared], false, v.sharedTables(c, g))
	protocols := v.protocolTable(c, g)
	v.apply(t.loops[encap], false, v.fromIPv4(c, v.rareTable(c, g, tablePuzzles, protocols)))
	t.fromB4(v, v.rareTable(c, g, tableExpired, protocols))
	t.makeDetours(v)
}

var (
	all4 = netip.MustParsePrefix("0.0.0.0/0")
	all6 = netip.MustParsePrefix("::/0")
)

// makeRoutes makes the routes in our own tables.
func (t *Topology) makeRoutes(v *vpp) {
	c := t.config
	v.route(true, c.table(tableInside), all4, into(t.loops[inside]))
	v.route(true, c.table(tableInside), plan.Probe(), into(t.loops[hairpin]))
	// VPP itself answers nobody to whom the route is one of ours.
	v.route(true, c.table(tableInside), netip.PrefixFrom(c.Own4, 32), into(t.loops[own]))
	v.route(true, c.table(tableErrors), all4, into(t.loops[errors4]))
	v.route(true, c.table(tableHairpinErrors), all4, into(t.loops[errors4]))
	v.route(true, c.table(tablePuzzles), all4, into(t.loops[puzzles]))
	v.route(true, c.table(tableExpired), all4, into(t.loops[expired]))
	v.route(true, c.table(tableNoPorts), all4, into(t.loops[shared]))

	v.route(true, c.table(tableBR), all6, lookup(c.IPv6Table))
	v.route(true, c.table(tablePCP), all6, into(t.loops[pcp]))
	v.route(true, c.table(tableICMP6), all6, into(t.loops[icmp6]))
	v.route(true, c.table(tableTunnels), all6, into(t.loops[tunnels]))
	v.route(true, c.table(tableHairpin), all6, lookup(c.IPv6Table))
	v.route(true, c.table(tableHairpin), netip.PrefixFrom(t.nowhere, 128), into(t.loops[hairpinNobody]))
	v.route(true, c.IPv6Table, netip.PrefixFrom(t.nowhere, 128), into(t.loops[nobody]))
}

// completeTag is the tag of encap when everything is there. It says what the
// topology was made for, and in which tables of the operator.
func (t *Topology) completeTag() string {
	return fmt.Sprintf("%s:%s:%d:%d", t.config.tag(encap), t.config.mark(), t.config.IPv4Table, t.config.IPv6Table)
}
