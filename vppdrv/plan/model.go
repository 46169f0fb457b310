package plan

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Model is what VPP holds of ours. It is not safe for concurrent use.
type Model struct {
	layout  Layout
	domains map[netip.Addr]*domain
	pools   map[netip.Prefix]uint32 // the index of each
	spares  []uint32
	serial  serial
	rules   int // slots for rules in all domains
}

// Held is how much VPP holds of ours: Rules counts each PSID of the domains that
// have rules, with a lwB4 or without.
type Held struct{ Domains, Rules int }

// Held returns how much VPP holds.
func (m *Model) Held() Held {
	return Held{Domains: len(m.domains) + len(m.pools) + len(m.spares), Rules: m.rules}
}

// slots is the number of rules that VPP has room for in a domain; nil has none.
func (d *domain) slots() int {
	if d == nil {
		return 0
	}
	return 1 << d.length
}

// domain is the softwires of one IPv4 address.
type domain struct {
	index  uint32
	offset uint8 // psid-offset
	length uint8 // psid-len in VPP: of the softwires, the longest so far
	whole  bool
	br     netip.Addr
	b4s    map[portset.PortSet]netip.Addr
	counts lengthCounts

	// broken are keys found in VPP that are no whole softwires, and extra are
	// further domains on the same address. With either, the domain is made anew
	// at the next change.
	broken []portset.PortSet
	extra  []uint32
}

func (d *domain) damaged() bool { return len(d.broken) > 0 || len(d.extra) > 0 }

// lengthCounts is how many softwires there are of each psid-len.
type lengthCounts [17]uint32

func (c *lengthCounts) longest() uint8 {
	for k := len(c) - 1; k > 0; k-- {
		if c[k] > 0 {
			return uint8(k)
		}
	}
	return 0
}

// New returns the Model of a VPP that holds nothing of ours.
func New(l Layout) *Model {
	return &Model{layout: l, domains: make(map[netip.Addr]*domain), pools: make(map[netip.Prefix]uint32)}
}

// Layout is what the domains have in common.
func (m *Model) Layout() Layout { return m.layout }

// Len is the number of softwires.
func (m *Model) Len() int {
	n := 0
	for _, d := range m.domains {
		n += len(d.b4s)
	}
	return n
}

// Addresses is the number of IPv4 addresses that have domains.
func (m *Model) Addresses() int { return len(m.domains) }

// Spares is the number of spare domains.
func (m *Model) Spares() int { return len(m.spares) }

// Pools returns the pools that have domains, in no order, but for Probe.
func (m *Model) Pools() []netip.Prefix {
	var pools []netip.Prefix
	for p := range m.pools {
		if p != Probe() {
			pools = append(pools, p)
		}
	}
	return pools
}

// PoolIndexes are the indexes of the domains that are pools and nothing else.
func (m *Model) PoolIndexes() []uint32 {
	var all []uint32
	for p, i := range m.pools {
		if d := m.domains[p.Addr()]; d == nil || !p.IsSingleIP() {
			all = append(all, i)
		}
	}
	return all
}

// Get returns the softwire of a key.
func (m *Model) Get(k softwire.Key) (softwire.Softwire, bool) {
	d := m.domains[k.IPv4]
	if d == nil {
		return softwire.Softwire{}, false
	}
	b4, ok := d.b4s[k.PortSet]
	return softwire.Softwire{IPv4: k.IPv4, PortSet: k.PortSet, B4: b4, BR: d.br}, ok
}

// Softwires calls yield with each softwire until it returns false. Keys of
// ours that are no whole softwire come without a lwB4 address.
func (m *Model) Softwires(yield func(softwire.Softwire) bool) {
	for ip, d := range m.domains {
		for set, b4 := range d.b4s {
			if !yield(softwire.Softwire{IPv4: ip, PortSet: set, B4: b4, BR: d.br}) {
				return
			}
		}
		for _, set := range d.broken {
			if !yield(softwire.Softwire{IPv4: ip, PortSet: set}) {
				return
			}
		}
	}
}

// Index is a domain's number in VPP, by which it counts traffic.
type Index struct {
	IPv4   netip.Addr
	Number uint32
}

// IndexOf returns the index of a softwire's address, and false if there is no
// such softwire.
func (m *Model) IndexOf(k softwire.Key) (uint32, bool) {
	d := m.domains[k.IPv4]
	if d == nil {
		return 0, false
	}
	_, ok := d.b4s[k.PortSet]
	return d.index, ok
}

// Indexes calls yield with the index of each address that has softwires.
func (m *Model) Indexes(yield func(Index) bool) {
	for ip, d := range m.domains {
		if !yield(Index{ip, d.index}) {
			return
		}
	}
}
