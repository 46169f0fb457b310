package history

import (
	"slices"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// recent is what the journal holds, in the order of events. It grows at its end
// only, so that a copy of it stays what it was.
type recent struct {
	keys    []uint64 // of records: what is looked through must be small
	records []record
	params  []portset.Params // all that occur
}

// recentOf has room for as many events as there were the last time, so that it need
// not be copied as it grows.
func recentOf(events int) recent {
	return recent{keys: make([]uint64, 0, events), records: make([]record, 0, events)}
}

func (m *recent) add(e Event) {
	r := recordOf(e)
	m.keys = append(m.keys, r.key)
	m.records = append(m.records, r)
	if p := e.Key.PortSet.Params(); !slices.Contains(m.params, p) {
		m.params = append(m.params, p)
	}
}

func (m *recent) len() int { return len(m.keys) }

// latest is the last record of a key at or before t; nil if there is none.
func (m *recent) latest(key uint64, t stamp) *record {
	for i, k := range slices.Backward(m.keys) {
		if k == key && m.records[i].at() <= t {
			return &m.records[i]
		}
	}
	return nil
}

// between are the records from from to to, both included, sorted.
func (m *recent) between(from, to blockfile.Position) []*record {
	var all []*record
	for i, k := range m.keys {
		if from.Major <= k && k <= to.Major {
			r := &m.records[i]
			if at := r.position(); at.Compare(from) >= 0 && at.Compare(to) <= 0 {
				all = append(all, r)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *record) int { return a.position().Compare(b.position()) })
	return all
}

// sortedClaims are what the records claim, each subscriber and key once.
func sortedClaims(records []*record) []*claim {
	var all []*claim
	for _, r := range records {
		r.claims(func(c claim) { all = append(all, &c) })
	}
	slices.SortStableFunc(all, func(a, b *claim) int { return a.position().Compare(b.position()) })
	kept := all[:0]
	for i, c := range all {
		// The last one is the one that is still true.
		if i+1 == len(all) || all[i+1].position() != c.position() {
			kept = append(kept, c)
		}
	}
	return kept
}
