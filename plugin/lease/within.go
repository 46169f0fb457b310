package lease

import (
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// psids are PSIDs of a pool that follow each other; none if first is behind last.
type psids struct{ first, last int }

func (p psids) has(psid uint16) bool { return p.first <= int(psid) && int(psid) <= p.last }

// within are the PSIDs whose port sets lie within a range of ports. Port sets of
// several blocks lie within all ports only.
func (st *stock) within(ports portset.Range) psids {
	all := psids{0, st.params.Sets() - 1}
	switch {
	case ports == portset.Range{}:
		return all
	case st.params.Offset() != 0:
		return psids{1, 0}
	}
	size := st.params.SetSize()
	return psids{(int(ports.First) + size - 1) / size, (int(ports.Last)+1)/size - 1}
}

// searched is how many addresses are looked at for a fresh port set of some PSIDs,
// and how many port sets that rest: enough to find one in all but a pool that is
// nearly exhausted, and little enough for others to wait for.
const searched = 4096

// firstFresh finds the first fresh port set with one of some PSIDs.
func (st *stock) firstFresh(among psids) (ip uint32, psid uint16, ok bool) {
	if among.first > among.last {
		return 0, 0, false
	}
	slot := 0
	for range searched {
		if slot, ok = st.fresh.next(slot); !ok {
			return 0, 0, false
		}
		ip, psid = st.place(slot)
		switch {
		case among.has(psid):
			return ip, psid, true
		case int(psid) > among.last && st.def.Selection == pool.Spread:
			return 0, 0, false
		case int(psid) < among.first:
			slot = st.slot(ip, uint16(among.first))
			if st.def.Selection == pool.Spread {
				slot = among.first * st.addresses
			}
		default:
			// The first one of the next address.
			slot += st.params.Sets() - int(psid)
		}
	}
	return 0, 0, false
}

// firstRested finds a port set with one of some PSIDs that has rested for long
// enough: of all PSIDs the one that has rested the longest.
func (b *Book) firstRested(st *stock, among psids, now instant) (ref, bool) {
	items := st.resting.items
	if len(items) == 0 || items[0].when > now {
		return 0, false
	}
	// Behind the first they are in no particular order.
	for _, item := range items[:min(len(items), searched)] {
		if item.when <= now && among.has(b.records.at(item.r).psid) {
			return item.r, true
		}
	}
	return 0, false
}
