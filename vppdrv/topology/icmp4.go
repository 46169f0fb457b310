package topology

import "net/netip"

var shapeOwnError = ownErrors(netip.IPv4Unspecified(), 0)

// refuseICMP makes a table that denies ICMPv4 and leaves the rest to next, or if
// that is none to what VPP does without a classifier.
func (v *vpp) refuseICMP(next uint32) uint32 {
	index := v.addTable("ICMPv4", table{shape: shapeProtocol, next: next, miss: permit})
	v.addSessions(index, []session{{fields: fields{byteAt(ip4Protocol, protoICMP)}, next: deny}})
	return index
}

// fromIPv4 makes the tables that go before those of encap. VPP's own errors
// come by that way, too.
func (v *vpp) fromIPv4(c Config, next uint32) uint32 {
	if c.ICMPFromIPv4 {
		return next
	}
	head := v.addTable("own errors to lwB4s", table{shape: shapeOwnError, next: v.refuseICMP(next), miss: permit})
	v.addSessions(head, ownErrorSessions(c, noPorts(c)))
	return head
}

// fromB4 applies the tables for packets from lwB4s: to each other, before the
// tables of hairpin, and to others. What they send to the lwAFTR itself goes
// another way.
func (t *Topology) fromB4(v *vpp, next uint32) {
	if t.config.ICMPFromB4 {
		v.apply(t.loops[hairpin], false, next)
		return
	}
	v.apply(t.loops[hairpin], false, v.refuseICMP(next))
	v.apply(t.loops[inside], false, v.refuseICMP(none))
}

// ownErrors are ICMPv4 messages of a type from an address.
func ownErrors(from netip.Addr, kind byte) fields {
	return fields{byteAt(ip4Protocol, protoICMP), addrAt(ip4Source, from), byteAt(ip4Payload, kind)}
}

// ownErrorSessions are what happens to the errors that VPP makes about
// decapsulated packets: to the slow path they would come from itself.
func ownErrorSessions(c Config, what session) []session {
	const unreachable, timeExceeded, parameterProblem = 3, 11, 12 // RFC 792
	var all []session
	for _, kind := range []byte{unreachable, timeExceeded, parameterProblem} {
		all = append(all, what.with(ownErrors(c.Own4, kind)...))
	}
	return all
}
