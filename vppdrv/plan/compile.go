package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Step is what one address needs: command lines that VPP must execute together.
type Step struct {
	IPv4  netip.Addr
	Lines []string
	// Detours says that the lines must stand between those of
	// Steering.Detours(true) and of Steering.Detours(false).
	Detours bool

	draft *draft  // alters the domain that the address has
	next  *domain // else what the address then has; nil is nothing
	// The index that the step takes from the spares or gives back, if any.
	takes, frees bool
	index        uint32
	// pool is the pool that the step adds or drops, if any.
	pool  netip.Prefix
	drops bool
}

// ErrSpares reports that there are not as many spare domains as new addresses.
var ErrSpares = errors.New("too few spare domains")

// NewAddresses is the number of spare domains that the batch needs.
func (b *Batch) NewAddresses() int {
	n := 0
	for _, d := range b.order {
		if d.old == nil && d.count > 0 && !b.model.ownPool(d.ip) {
			n++
		}
	}
	return n
}

// Wholes reports whether addresses are whole after the batch.
func (b *Batch) Wholes() bool {
	for _, d := range b.order {
		if d.count > 0 && d.whole {
			return true
		}
	}
	return false
}

// Offsets are the psid-offsets above zero that the batch introduces or keeps.
func (b *Batch) Offsets() []uint8 {
	var seen [17]bool
	var all []uint8
	for _, d := range b.order {
		if d.count > 0 && d.offset > 0 && !seen[d.offset] {
			seen[d.offset] = true
			all = append(all, d.offset)
		}
	}
	return all
}

// Steps returns what VPP must execute, in the order of the ops. Each step, when
// executed, is made known by Model.Done. The error wraps ErrSpares.
func (b *Batch) Steps() ([]Step, error) {
	if need, have := b.NewAddresses(), len(b.model.spares); need > have {
		return nil, fmt.Errorf("%w: %d new addresses, %d spares", ErrSpares, need, have)
	}
	var steps []Step
	spare := len(b.model.spares)
	for _, d := range b.order {
		s := Step{IPv4: d.ip}
		if d.old == nil && d.count > 0 {
			if pool, ok := b.model.pools[netip.PrefixFrom(d.ip, 32)]; ok {
				s.index = pool
			} else {
				spare--
				s.takes, s.index = true, b.model.spares[spare]
			}
		}
		if b.model.compile(&s, d) {
			steps = append(steps, s)
		}
	}
	return steps, nil
}

// ownPool reports whether ip is a pool of its own, whose domain it takes.
func (m *Model) ownPool(ip netip.Addr) bool {
	_, ok := m.pools[netip.PrefixFrom(ip, 32)]
	return ok
}

// compile completes a step for what a draft changes. It reports false if that
// is nothing. A change may need no lines: another softwire, the same rules.
func (m *Model) compile(s *Step, d *draft) bool {
	old := d.old
	switch {
	case old == nil && d.count == 0, d.idempotent():
		return false
	case old == nil:
		s.next = d.domain(s.index)
		m.remake(s, []string{DeleteLine(s.index)}, m.create(d.ip, s.next))
	case d.count == 0:
		s.index, s.frees = old.index, !m.ownPool(d.ip)
		if s.frees {
			s.Lines = append(m.destroy(d.ip, old), m.spareLine(keyOf(old.index)))
		} else {
			m.remake(s, m.destroy(d.ip, old), m.createPool(netip.PrefixFrom(d.ip, 32), old.br, old.index))
		}
	case old.damaged() || d.reshapes():
		s.next = d.domain(old.index)
		m.remake(s, m.destroy(d.ip, old), m.create(d.ip, s.next))
	default:
		s.draft = d
		s.Lines = m.alter(d)
	}
	return true
}

// remake makes s replace a domain of its address. Meanwhile packets take a
// detour: those of other softwires of the address would be lost, and VPP would
// decapsulate anything while there is no rule.
func (m *Model) remake(s *Step, destroy, create []string) {
	s.Lines = append(destroy, create...)
	if m.layout.Steering == nil {
		return
	}
	s.Detours = true
	s.Lines = slices.Concat(m.layout.Steering.Detour(true, s.IPv4), s.Lines, m.layout.Steering.Detour(false, s.IPv4))
}

// idempotent reports whether the ops ask for what there is.
func (d *draft) idempotent() bool {
	if d.old == nil || d.old.damaged() || d.old.br != d.br {
		return false
	}
	for _, c := range d.changed {
		if c.from != c.to {
			return false
		}
	}
	return true
}

// reshapes reports whether the domain cannot stay as it is.
func (d *draft) reshapes() bool {
	o := d.old
	if o.whole || d.whole {
		// A whole address has one softwire: everything about it is in its
		// domain and in the steering.
		return true
	}
	return o.br != d.br || o.offset != d.offset || o.length < d.counts.longest()
}

// domain is what the draft becomes at an index.
func (d *draft) domain(index uint32) *domain {
	return &domain{
		index: index, offset: d.offset, length: d.length(), whole: d.whole, br: d.br, b4s: d.b4s(), counts: d.counts,
	}
}

// length is the psid-len of the domain that the draft becomes. A domain keeps
// its own when its longest softwire goes, because changing it means making it
// anew.
func (d *draft) length() uint8 {
	longest := d.counts.longest()
	switch o := d.old; {
	case d.whole:
		return wholeLength
	case o != nil && !o.damaged() && !o.whole && o.br == d.br && o.offset == d.offset:
		return max(longest, o.length)
	}
	return longest
}

// create makes a domain with all its rules, at the index that was freed last.
func (m *Model) create(ip netip.Addr, d *domain) []string {
	u := useShared
	if d.whole {
		u = useWhole
	}
	lines := []string{m.domainLine(u, netip.PrefixFrom(ip, 32), d.br, d.offset, d.length)}
	slots := 1 << d.length
	fill := d.length <= m.layout.Fill && !d.whole
	var owners map[int]netip.Addr
	if fill {
		owners = make(map[int]netip.Addr, slots)
	}
	for set, b4 := range d.b4s {
		first, count := psids(set, d.length)
		for psid := first; psid < first+count; psid++ {
			if fill {
				owners[psid] = b4
				continue
			}
			lines = append(lines, ruleLine(d.index, psid, b4))
		}
		if d.whole && m.layout.Steering != nil {
			lines = append(lines, m.layout.Steering.Whole(true, ip, b4, d.br)...)
		}
	}
	for psid := range slots {
		if !fill {
			break
		}
		b4, ok := owners[psid]
		if !ok {
			b4 = m.layout.Nowhere
		}
		lines = append(lines, ruleLine(d.index, psid, b4))
	}
	if m.layout.Steering != nil {
		lines = append(lines, m.layout.Steering.Shared(true, ip, d.br, d.offset)...)
	}
	return lines
}

// destroy takes a domain away, which frees its index.
func (m *Model) destroy(ip netip.Addr, d *domain) []string {
	var lines []string
	if m.layout.Steering != nil {
		for _, b4 := range d.b4s {
			if d.whole {
				lines = append(lines, m.layout.Steering.Whole(false, ip, b4, d.br)...)
			}
		}
		lines = append(lines, m.layout.Steering.Shared(false, ip, d.br, d.offset)...)
	}
	for _, extra := range d.extra {
		lines = append(lines, DeleteLine(extra))
	}
	return append(lines, DeleteLine(d.index))
}

// alter changes single rules of a domain.
func (m *Model) alter(d *draft) []string {
	type slot struct{ from, to netip.Addr }
	slots := make(map[int]slot)
	each := func(set portset.PortSet, f func(*slot)) {
		first, count := psids(set, d.old.length)
		for psid := first; psid < first+count; psid++ {
			s := slots[psid]
			f(&s)
			slots[psid] = s
		}
	}
	for set, c := range d.changed {
		if c.from.IsValid() {
			each(set, func(s *slot) { s.from = c.from })
		}
		if c.to.IsValid() {
			each(set, func(s *slot) { s.to = c.to })
		}
	}
	var lines []string
	for psid, s := range slots {
		if s.from == s.to {
			continue
		}
		if !s.to.IsValid() {
			s.to = m.nobody(d.old.length)
		}
		lines = append(lines, ruleLine(d.old.index, psid, s.to))
	}
	return lines
}

// nobody is where the rule of a free PSID leads, in a domain with a psid-len.
func (m *Model) nobody(length uint8) netip.Addr {
	if length <= m.layout.Fill {
		return m.layout.Nowhere
	}
	return netip.IPv6Unspecified() // to VPP, no rule
}

// domainLine adds a domain. Its IPv6 prefix is ::/128, so that while it has no
// rules nothing is sent anywhere.
func (m *Model) domainLine(u use, prefix netip.Prefix, br netip.Addr, offset, length uint8) string {
	return fmt.Sprintf("map add domain tag %s ip4-pfx %s ip6-pfx ::/128 ip6-src %s/128 ea-bits-len 0 psid-offset %d psid-len %d mtu %d",
		m.layout.tag(u), prefix, br, offset, length, m.layout.MTU)
}

// ruleLine adds or replaces a rule. There are as many of them as PSIDs.
func ruleLine(index uint32, psid int, b4 netip.Addr) string {
	b := make([]byte, 0, 96)
	b = strconv.AppendUint(append(b, "map add rule index "...), uint64(index), 10)
	b = strconv.AppendInt(append(b, " psid "...), int64(psid), 10)
	return string(b4.AppendTo(append(b, " ip6-dst "...)))
}

// DeleteLine is the command line that deletes a domain.
func DeleteLine(index uint32) string { return fmt.Sprintf("map del domain index %d", index) }
