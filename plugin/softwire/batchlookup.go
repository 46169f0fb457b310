package softwire

import "encoding/binary"

// Probe is one of the lookups of a LookupAll: IP and Port are looked up, Match
// and Found are what Lookup would return.
type Probe struct {
	IP    [4]byte
	Port  uint16
	Found bool
	Match Match

	node    *node
	address *address
	entry   *entry
	touched byte // keeps reads from being optimised away
}

// LookupAll makes the lookups of probes. A Lookup in a large table waits for
// several memory accesses, each of which depends on the one before; LookupAll
// makes each step for all probes before it makes the next, so that the waits of
// a batch overlap. It does not allocate.
func (s *Snapshot) LookupAll(probes []Probe) {
	for i := range probes {
		probes[i].node, probes[i].address, probes[i].Found = s.addresses, nil, false
	}
	for pending := s.addresses != nil; pending; {
		pending = false
		for i := range probes {
			if p := &probes[i]; p.node != nil {
				p.step()
				pending = pending || p.node != nil
			}
		}
	}
	// The loops that only touch are short, so that the processor has the memory
	// accesses of many turns under way at once.
	for i := range probes {
		if a := probes[i].address; a != nil {
			probes[i].touched = byte(a.ip)
		}
	}
	for i := range probes {
		p := &probes[i]
		p.entry = nil
		if p.address == nil || p.address.ip != binary.BigEndian.Uint32(p.IP[:]) {
			continue
		}
		a, params := p.address, p.address.params
		if a.crowd != nil {
			p.entry, params = a.crowd.holder(p.Port)
		} else if psid, ok := params.PSID(p.Port); ok {
			p.entry = a.block.entry(psid)
		}
		p.Match.Whole = params.Whole()
	}
	for i := range probes {
		if e := probes[i].entry; e != nil {
			probes[i].touched = e.b4[0] // an entry may lie in two cache lines
			probes[i].Match.Slot = e.slot
		}
	}
	for i := range probes {
		p := &probes[i]
		if p.Found = p.entry != nil; p.Found {
			p.Match.B4, p.Match.BR = &p.entry.b4, &s.brs.list[p.entry.br]
		}
	}
}

// step goes from the probe's node to the next one, or to the address.
func (p *Probe) step() {
	at := p.node.slot(digitOf(binary.BigEndian.Uint32(p.IP[:]), p.node.level))
	p.node, p.address = at.child, at.leaf
}
