package plan

// Done makes known that VPP has executed a step.
func (m *Model) Done(s Step) {
	if s.takes {
		m.take(s.index)
	}
	if s.draft != nil {
		s.draft.alter()
		return
	}
	if s.pool.IsValid() {
		m.donePool(s)
		return
	}
	m.rules += s.next.slots() - m.domains[s.IPv4].slots()
	if s.next == nil {
		delete(m.domains, s.IPv4)
		if s.frees {
			m.spares = append(m.spares, s.index)
		}
		return
	}
	m.domains[s.IPv4] = s.next
}

// alter makes the changes of d to its old domain.
func (d *draft) alter() {
	for set, c := range d.changed {
		if c.to.IsValid() {
			d.old.b4s[set] = c.to
		} else {
			delete(d.old.b4s, set)
		}
	}
	d.old.counts = d.counts
}

// take removes a spare.
func (m *Model) take(index uint32) {
	for i, spare := range m.spares {
		if spare == index {
			m.spares[i] = m.spares[len(m.spares)-1]
			m.spares = m.spares[:len(m.spares)-1]
			return
		}
	}
}

func (m *Model) donePool(s Step) {
	if !s.drops {
		m.pools[s.pool] = s.index
		return
	}
	delete(m.pools, s.pool)
	if s.frees {
		m.spares = append(m.spares, s.index)
	}
}
