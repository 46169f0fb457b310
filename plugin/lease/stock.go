package lease

import (
	"cmp"
	"iter"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// stock is what a pool has to give out.
type stock struct {
	def      pool.Pool
	params   portset.Params
	number   uint16
	draining bool

	spans     []span // all addresses
	addresses int
	excluded  []bool // by PSID
	closed    []span // addresses that are not lent

	// fresh has the port sets that are lendable and have no record. Numbers
	// ascend in the order in which they are given out.
	fresh *bitset
	// blocked has by port set the records with other parameters that have ports of
	// it.
	blocked map[int][]ref
	// resting has the records that may go to another subscriber, by the time
	// from which on.
	resting heap

	counts Counts
}

// Counts is how many port sets of a pool are in which state.
type Counts struct {
	Lendable int // that the pool's terms leave
	Fresh    int // of those, never used and not taken
	Bound    int
	Leaving  int
	Resting  int // in hold-down, or free and remembered
	Reserved int // whatever their state
}

// newStock is a pool of which nothing is in use.
func newStock(def pool.Pool, number uint16) *stock {
	st := &stock{def: def, number: number, blocked: make(map[int][]ref)}
	// Pools are validated before they come here.
	st.params, _ = def.Params()
	st.spans, st.addresses = spansOf(def.Prefixes)
	st.closed, _ = spansOf(def.Exclude.Addresses)
	if !def.Lends() {
		return st
	}
	st.excluded = make([]bool, st.params.Sets())
	for _, psid := range def.ExcludedPSIDs() {
		st.excluded[psid] = true
	}
	st.fresh = newBitset(st.addresses * st.params.Sets())
	for _, sp := range st.spans {
		for ip := sp.first; ; ip++ {
			st.open(ip)
			if ip == sp.last {
				break
			}
		}
	}
	st.counts.Lendable = st.fresh.count
	return st
}

// open makes the lendable port sets of an address fresh.
func (st *stock) open(ip uint32) {
	if _, closed := find(st.closed, ip); closed {
		return
	}
	for psid, excluded := range st.excluded {
		if !excluded {
			st.fresh.add(st.slot(ip, uint16(psid)))
		}
	}
}

// slot numbers the port sets of the pool in the order of its selection.
func (st *stock) slot(ip uint32, psid uint16) int {
	in, _ := find(st.spans, ip)
	ordinal := in.ordinal + int(ip-in.first)
	if st.def.Selection == pool.Spread {
		return int(psid)*st.addresses + ordinal
	}
	return ordinal*st.params.Sets() + int(psid)
}

// place is the inverse of slot.
func (st *stock) place(slot int) (ip uint32, psid uint16) {
	ordinal, p := slot/st.params.Sets(), slot%st.params.Sets()
	if st.def.Selection == pool.Spread {
		ordinal, p = slot%st.addresses, slot/st.addresses
	}
	i, exact := slices.BinarySearchFunc(st.spans, ordinal, func(s span, o int) int { return cmp.Compare(s.ordinal, o) })
	if !exact {
		i--
	}
	in := st.spans[i]
	return in.first + uint32(ordinal-in.ordinal), uint16(p)
}

// fits reports whether the record's port set is one of the pool's.
func (st *stock) fits(rec *record) bool {
	return rec.offset == st.params.Offset() && rec.length == st.params.Length()
}

// lendable reports whether a port set of the pool may be given to one who does
// not have it.
func (st *stock) lendable(ip uint32, psid uint16) bool {
	if st.fresh == nil || st.excluded[psid] || len(st.blocked[st.slot(ip, psid)]) > 0 {
		return false
	}
	_, closed := find(st.closed, ip)
	return !closed
}

// extends reports whether leases of the port set may be extended.
func (st *stock) extends(rec *record) bool {
	return !st.draining && (rec.flags.has(reserved) || st.fits(rec) && st.lendable(rec.ipv4, rec.psid))
}

// occupy takes the port set of the record r out of what is fresh. One with other
// parameters blocks all port sets that it has ports of.
func (st *stock) occupy(r ref, rec *record) {
	switch {
	case st.fresh == nil:
	case st.fits(rec):
		st.fresh.remove(st.slot(rec.ipv4, rec.psid))
	default:
		for psid := range st.overlapping(rec.portSet()) {
			slot := st.slot(rec.ipv4, psid)
			st.blocked[slot] = append(st.blocked[slot], r)
			st.fresh.remove(slot)
		}
	}
}

// vacate is the inverse of occupy, for a record that is no more.
func (st *stock) vacate(b *Book, r ref, rec *record) {
	switch {
	case st.fresh == nil:
	case st.fits(rec):
		st.refresh(b, rec.ipv4, rec.psid)
	default:
		for psid := range st.overlapping(rec.portSet()) {
			slot := st.slot(rec.ipv4, psid)
			rest := slices.DeleteFunc(st.blocked[slot], func(o ref) bool { return o == r })
			if st.blocked[slot] = rest; len(rest) == 0 {
				delete(st.blocked, slot)
			}
			st.refresh(b, rec.ipv4, psid)
		}
	}
}

// eachUnder calls visit with the records that have ports of a port set on ip, each
// once. In a pool that lends nothing that is the one of the port set itself.
func (b *Book) eachUnder(st *stock, ip uint32, set portset.PortSet, visit func(ref, *record)) {
	var seen []ref
	meet := func(r ref) {
		if r != 0 && !slices.Contains(seen, r) && b.records.at(r).portSet().Overlaps(set) {
			seen = append(seen, r)
		}
	}
	meet(b.find(softwire.Key{IPv4: addr4(ip), PortSet: set}))
	if st.fresh != nil {
		for psid := range st.overlapping(set) {
			meet(b.at(st.key(ip, psid)))
			for _, r := range st.blocked[st.slot(ip, psid)] {
				meet(r)
			}
		}
	}
	for _, r := range seen {
		visit(r, b.records.at(r))
	}
}

// refresh makes a port set fresh that is lendable and has no record.
func (st *stock) refresh(b *Book, ip uint32, psid uint16) {
	if st.lendable(ip, psid) && b.at(st.key(ip, psid)) == 0 {
		st.fresh.add(st.slot(ip, psid))
	}
}

// overlapping yields the PSIDs of the pool that have ports of set.
func (st *stock) overlapping(set portset.PortSet) iter.Seq[uint16] {
	if set.Params() == st.params {
		return func(yield func(uint16) bool) { yield(set.PSID()) }
	}
	return st.params.Containing(slices.Collect(set.Ranges())...)
}

func (st *stock) key(ip uint32, psid uint16) key {
	return packKey(ip, st.params.Offset(), st.params.Length(), psid)
}

// count keeps counts.
func (st *stock) count(rec *record, n int) {
	switch rec.state {
	case Bound:
		st.counts.Bound += n
	case Leaving:
		st.counts.Leaving += n
	case Resting:
		st.counts.Resting += n
	}
	if rec.flags.has(reserved) {
		st.counts.Reserved += n
	}
}
