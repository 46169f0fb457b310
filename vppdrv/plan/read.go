package plan

import (
	"maps"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Domain is a MAP domain found in VPP.
type Domain struct {
	Index          uint32
	Tag            string
	IPv4           netip.Prefix
	BR             netip.Addr
	Offset, Length uint8                 // of its PSIDs
	Rules          map[uint16]netip.Addr // by PSID; without those that VPP has as ::
}

// Ours reports whether a domain with a tag is ours, and Holds whether its rules
// say something.
func (l *Layout) Ours(tag string) bool {
	_, ours := l.useOf(tag)
	return ours
}

// Holds reports whether the rules of a domain with a tag are softwires of ours.
func (l *Layout) Holds(tag string) bool {
	u, ours := l.useOf(tag)
	return ours && (u == useShared || u == useWhole)
}

// Read returns the Model of a VPP in which domains were found; those of others
// are passed over. Rules of a softwire with a shorter psid-len than that of its
// domain look like several softwires; before, which may be nil, is a Model that
// knows better.
func Read(l Layout, found []Domain, before *Model) *Model {
	m := New(l)
	for _, f := range found {
		u, ours := l.useOf(f.Tag)
		if !ours {
			continue
		}
		switch ip := f.IPv4.Addr(); {
		case u == useSpare:
			m.spares = append(m.spares, f.Index)
			m.serial.after(ip)
		case u == usePool:
			m.pools[f.IPv4.Masked()] = f.Index
		case m.domains[ip] != nil:
			m.domains[ip].spoil(f.Index)
		default:
			m.domains[ip] = read(l, u, f)
		}
	}
	for _, d := range m.domains {
		m.rules += d.slots()
	}
	m.ownPools(before)
	for ip, d := range m.domains {
		if before != nil && before.domains[ip] != nil {
			d.merge(before.domains[ip])
		}
	}
	return m
}

// Of is what one domain is, found in a VPP that m describes otherwise.
// A domain that m does not have at that index was changed meanwhile, and is
// none.
func (m *Model) Of(f Domain) []softwire.Softwire {
	ip := f.IPv4.Addr()
	known := m.domains[ip]
	u, ours := m.layout.useOf(f.Tag)
	if !ours || known == nil || known.index != f.Index {
		return nil
	}
	one := New(m.layout)
	d := read(m.layout, u, f)
	one.domains[ip] = d
	if known.damaged() {
		d.spoil(f.Index)
	} else {
		d.merge(known)
	}
	var all []softwire.Softwire
	for s := range one.Softwires {
		all = append(all, s)
	}
	return all
}

// ownPools makes known the pools that addresses with softwires stand for.
func (m *Model) ownPools(before *Model) {
	if before == nil {
		return
	}
	for pool := range before.pools {
		if d := m.domains[pool.Addr()]; d != nil && pool.IsSingleIP() {
			m.pools[pool] = d.index
		}
	}
}

// read is the domain of one address.
func read(l Layout, u use, f Domain) *domain {
	d := &domain{
		index: f.Index, offset: f.Offset, length: f.Length, whole: u == useWhole,
		br: f.BR, b4s: make(map[portset.PortSet]netip.Addr),
	}
	if d.whole {
		first, second := f.Rules[0], f.Rules[1]
		if !first.IsValid() || first != second || f.Length != wholeLength {
			d.broken = []portset.PortSet{{}}
			return d
		}
		d.add(portset.PortSet{}, first)
		return d
	}
	for psid, b4 := range f.Rules {
		if b4 == l.Nowhere {
			continue
		}
		set, err := portset.Of(f.Offset, f.Length, psid)
		if err != nil {
			// Nobody but VPP itself can have put it there, and it forwards
			// nothing.
			continue
		}
		d.add(set, b4)
	}
	return d
}

func (d *domain) add(set portset.PortSet, b4 netip.Addr) {
	d.b4s[set] = b4
	d.counts[set.Params().Length()]++
}

func (d *domain) drop(set portset.PortSet) {
	delete(d.b4s, set)
	d.counts[set.Params().Length()]--
}

// spoil makes d a domain beside another one on the same address. VPP forwards
// for one of them, and there is no telling for which.
func (d *domain) spoil(index uint32) {
	d.extra = append(d.extra, index)
	for set := range maps.Clone(d.b4s) {
		d.drop(set)
		d.broken = append(d.broken, set)
	}
	if len(d.broken) == 0 {
		d.broken = []portset.PortSet{{}}
	}
}

// merge takes rules for one softwire that was one before, and is still there in
// all its rules.
func (d *domain) merge(before *domain) {
	if d.damaged() || d.whole || before.whole || before.offset != d.offset {
		return
	}
	for set, b4 := range before.b4s {
		length := set.Params().Length()
		if length >= d.length {
			continue
		}
		rules := d.rules(set, b4)
		if rules == nil {
			continue
		}
		for _, rule := range rules {
			d.drop(rule)
		}
		d.add(set, b4)
	}
}

// rules returns the port sets of the domain's own psid-len that make up set, or
// nil unless all of them are b4's.
func (d *domain) rules(set portset.PortSet, b4 netip.Addr) []portset.PortSet {
	first, count := psids(set, d.length)
	var all []portset.PortSet
	for psid := first; psid < first+count; psid++ {
		rule, err := portset.Of(d.offset, d.length, uint16(psid))
		if err != nil || d.b4s[rule] != b4 {
			return nil
		}
		all = append(all, rule)
	}
	return all
}
