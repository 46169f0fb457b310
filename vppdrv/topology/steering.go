package topology

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/vppdrv/plan"
)

var _ plan.Steering = (*Topology)(nil)

// Prepare makes the classifier tables that whole addresses and psid-offsets
// need. Packets pass them only once they are needed.
func (t *Topology) Prepare(ctx context.Context, wholes bool, offsets []uint8) error {
	v := newVPP(ctx, t.conn)
	if wholes && t.tables.whole == none {
		t.tables.whole = t.appendTable(v, "whole addresses", shapeWhole)
	}
	for _, a := range offsets {
		if _, has := t.tables.excluded[a]; has {
			continue
		}
		ports := t.appendTable(v, "excluded ports", excludedPorts(netip.IPv4Unspecified(), a, 0))
		ids := t.appendTable(v, "excluded identifiers", excludedIDs(netip.IPv4Unspecified(), a, 0))
		if v.err == nil {
			t.tables.excluded[a] = [2]uint32{ports, ids}
		}
	}
	return v.err
}

// appendTable makes a table that decap looks into last, and returns its index.
func (t *Topology) appendTable(v *vpp, name string, shape fields) uint32 {
	index := v.addTable(name, table{shape: shape, next: none, miss: t.gates.map6, buckets: largeBuckets, memory: largeMemory})
	v.chain(t.tables.last, index)
	if v.err != nil {
		return none
	}
	t.tables.last = index
	return index
}

// Whole is as in plan.Steering.
func (t *Topology) Whole(add bool, ip, b4, br netip.Addr) []string {
	verb := "add"
	if !add {
		verb = "del"
	}
	return []string{
		wholeSession(t.gates, ip, b4, br).line(add, t.tables.whole),
		fmt.Sprintf("ip route %s table %d %s/32 via rx-ip4 %s", verb, t.config.table(tableNoPorts), ip, t.whole),
	}
}

// Shared is as in plan.Steering.
func (t *Topology) Shared(add bool, ip, br netip.Addr, offset uint8) []string {
	var lines []string
	for index, sessions := range t.refusals(ip, br, offset) {
		for _, s := range sessions {
			lines = append(lines, s.line(add, index))
		}
	}
	return lines
}

// refusals are the sessions for packets that may not come from an address, by
// table. The control logic answers them.
func (t *Topology) refusals(ip, br netip.Addr, offset uint8) map[uint32][]session {
	const echoReply, echoRequest = 0, 8
	refused := session{next: permit, action: setTable6, table: t.config.table(tableTunnels)}
	all := make(map[uint32][]session)
	if tables, ok := t.tables.excluded[offset]; ok && offset > 0 {
		all[tables[0]] = []session{
			refused.with(excludedPorts(ip, offset, protoTCP)...),
			refused.with(excludedPorts(ip, offset, protoUDP)...),
		}
		all[tables[1]] = []session{
			refused.with(excludedIDs(ip, offset, echoRequest)...),
			refused.with(excludedIDs(ip, offset, echoReply)...),
		}
	}
	for other, l := range t.brs {
		if other != br && l.foreign != none {
			all[l.foreign] = []session{refused.with(addrAt(innerSource, ip))}
		}
	}
	return all
}

// separate makes each BR address refuse what belongs to another one, as soon as
// there are two: VPP looks at the inner source only.
func (t *Topology) separate(v *vpp) {
	if len(t.brs) < 2 {
		return
	}
	for _, l := range t.brs {
		if l.foreign != none {
			continue
		}
		foreign := v.addTable("other BR addresses", table{
			shape: shapeInner, next: t.tables.first, miss: deny, buckets: largeBuckets, memory: largeMemory,
		})
		// In one go, so that no packet comes by without a classifier.
		name := v.nameOf(l.index)
		v.script([]string{
			fmt.Sprintf("set interface input acl intfc %s ip6-table %d del", name, t.tables.first),
			fmt.Sprintf("set interface input acl intfc %s ip6-table %d", name, foreign),
		})
		if v.err == nil {
			l.foreign = foreign
		}
	}
}
