package softwire

import "encoding/binary"

// Probe is a Lookup that will be made soon. Warm fills in Slot and Found.
type Probe struct {
	IP    [4]byte
	Port  uint16
	Slot  uint32 // as in Match, if Found
	Found bool

	node    *node
	address *address
	entry   *entry
	first   byte
}

// Warm brings the memory that Lookup will need for each of probes into the
// caches. A Lookup in a large table waits for several memory accesses, each of
// which depends on the one before; Warm makes each step for all probes before
// it makes the next, so that the waits of a batch overlap. It does not
// allocate.
func (s *Snapshot) Warm(probes []Probe) {
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
	for i := range probes {
		p := &probes[i]
		p.entry = nil
		if p.address == nil || p.address.ip != binary.BigEndian.Uint32(p.IP[:]) {
			continue
		}
		if a := p.address; a.crowd != nil {
			p.entry, _ = a.crowd.holder(p.Port)
		} else if psid, ok := a.params.PSID(p.Port); ok {
			p.entry = a.block.entry(psid)
		}
	}
	for i := range probes {
		p := &probes[i]
		if p.Found = p.entry != nil; p.Found {
			// An entry may lie in two cache lines; this reads from both.
			p.Slot = p.entry.slot
			p.first = p.entry.b4[0]
		}
	}
}

// step goes from the probe's node to the next one, or to the address.
func (p *Probe) step() {
	at := p.node.slot(digitOf(binary.BigEndian.Uint32(p.IP[:]), p.node.level))
	p.node, p.address = at.child, at.leaf
}
