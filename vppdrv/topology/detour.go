package topology

import (
	"fmt"
	"net/netip"
)

// detours are tables that lead the packets of single addresses to the control
// logic. They are looked into only while there are any: for the rest of the
// time the tables before them pass them by.
type detours struct {
	ip4, ip6 turnoff
}

// turnoff is one of the tables. Those before it lead either to it or to next,
// where it leads itself.
type turnoff struct {
	before      []uint32
	index, next uint32
}

// The shapes of the tables: to an address, and from it in a tunnel.
func detour4(ip netip.Addr) fields { return fields{addrAt(ip4Destination, ip)} }
func detour6(ip netip.Addr) fields { return fields{addrAt(innerSource, ip)} }

// makeDetours makes the tables, which follow those of encap and hairpin for what
// is rare and the first one of decap, and applies them where Adopt finds them:
// to interfaces that no packet of that family comes in by.
func (t *Topology) makeDetours(v *vpp) {
	t.detours = detours{ip4: turnoff{before: t.rareTables(v)}, ip6: turnoff{before: []uint32{t.tables.first}}}
	if v.err != nil {
		return
	}
	for _, d := range []struct {
		*turnoff
		shape fields
		miss  uint32
	}{
		{&t.detours.ip4, detour4(netip.IPv4Unspecified()), t.gates.map4},
		{&t.detours.ip6, detour6(netip.IPv4Unspecified()), t.gates.map6},
	} {
		d.next = v.nextTable(d.before[0])
		d.index = v.addTable("detours", table{shape: d.shape, next: d.next, miss: d.miss})
	}
	v.apply(t.loops[nobody], false, t.detours.ip4.index)
	v.apply(t.loops[errors4], true, t.detours.ip6.index)
}

// rareTables are those of encap and hairpin, behind the tables that refuse
// ICMPv4.
func (t *Topology) rareTables(v *vpp) (all []uint32) {
	for _, r := range []role{encap, hairpin} {
		head, _ := v.applied(t.loops[r])
		for _, f := range v.following(head) {
			if f.is(shapeLengthTTL) {
				all = append(all, f.index)
			}
		}
	}
	return all
}

// nextTable is the table that VPP tries after another one.
func (v *vpp) nextTable(index uint32) uint32 {
	if all := v.following(index); len(all) > 1 {
		return all[1].index
	}
	return none
}

// findDetours finds the tables that makeDetours made.
func (t *Topology) findDetours(v *vpp) {
	index4, _ := v.applied(t.loops[nobody])
	_, index6 := v.applied(t.loops[errors4])
	t.detours = detours{
		ip4: turnoff{before: t.rareTables(v), index: index4, next: v.nextTable(index4)},
		ip6: turnoff{before: []uint32{t.tables.first}, index: index6, next: v.nextTable(index6)},
	}
	if v.err == nil && (index4 == none || index6 == none || t.detours.ip4.next == none || t.detours.ip6.next == none) {
		v.err = fmt.Errorf("the tables for detours are gone")
	}
}

// endDetours ends those that a script left which did not get to its end.
func (t *Topology) endDetours(v *vpp) {
	for _, d := range []turnoff{t.detours.ip4, t.detours.ip6} {
		for _, before := range d.before {
			if v.nextTable(before) == d.index {
				v.chain(before, d.next)
			}
		}
		v.deleteSessions(d.index, v.sessions(d.index))
	}
}

// Detours is as in plan.Steering.
func (t *Topology) Detours(on bool) (lines []string) {
	for _, d := range []turnoff{t.detours.ip4, t.detours.ip6} {
		to := d.next
		if on {
			to = d.index
		}
		for _, before := range d.before {
			lines = append(lines, fmt.Sprintf("classify table table %d next-table %d", before, to))
		}
	}
	return lines
}

// Detour is as in plan.Steering.
func (t *Topology) Detour(add bool, ip netip.Addr) []string {
	return []string{
		session{fields: detour4(ip), next: t.gates.punt4, advance: puntBack}.line(add, t.detours.ip4.index),
		session{fields: detour6(ip), next: t.gates.punt6, advance: puntBack}.line(add, t.detours.ip6.index),
	}
}
