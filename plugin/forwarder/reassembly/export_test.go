package reassembly

import "fmt"

// BlockSize is the unit of Usage.Bytes.
const BlockSize = blockSize

// Held is how many fragments t holds.
func (t *Table) Held() int {
	n := 0
	for i := t.byAge.oldest; i != none; i = t.age[i].newer {
		n += t.contexts[i].fragments
	}
	return n
}

// Check compares what t knows in several places.
func (t *Table) Check() error {
	contexts, blocks, charged := 0, 0, 0
	for i := t.byAge.oldest; i != none; i = t.age[i].newer {
		contexts++
		n, err := t.checkContext(i)
		if err != nil {
			return fmt.Errorf("context %d: %w", i, err)
		}
		blocks += n
	}
	for i := range t.owners.entries {
		if t.owned[i].length < 0 {
			return fmt.Errorf("owner %d has %d packets", i, t.owned[i].length)
		}
	}
	owners := 0
	for _, first := range t.owners.buckets {
		for n := first; n != none; n = t.owners.entries[n].next {
			owners++
			charged += t.owned[n].length
			if t.owned[n].length == 0 {
				return fmt.Errorf("owner %d has nothing", n)
			}
		}
	}
	free := 0
	for n := t.owners.free; n != none; n = t.owners.entries[n].next {
		free++
	}
	wantCharged := 0
	for i := t.byAge.oldest; i != none; i = t.age[i].newer {
		for _, n := range t.contexts[i].owners {
			if n != none {
				wantCharged++
			}
		}
	}
	switch {
	case contexts != t.byAge.length:
		return fmt.Errorf("%d contexts in a list of %d", contexts, t.byAge.length)
	case contexts > t.config.MaxContexts:
		return fmt.Errorf("%d contexts, at most %d allowed", contexts, t.config.MaxContexts)
	case blocks != t.pool.inUse:
		return fmt.Errorf("%d blocks in chains, %d in use", blocks, t.pool.inUse)
	case t.pool.inUse*blockSize > t.config.MaxBytes:
		return fmt.Errorf("%d octets in use, at most %d allowed", t.pool.inUse*blockSize, t.config.MaxBytes)
	case charged != wantCharged:
		return fmt.Errorf("%d charges, contexts have %d", charged, wantCharged)
	case owners+free != len(t.owners.entries):
		return fmt.Errorf("%d owners and %d free of %d", owners, free, len(t.owners.entries))
	}
	return t.checkLimits()
}

// checkContext returns the blocks that the context i uses.
func (t *Table) checkContext(i uint32) (blocks int, err error) {
	c := &t.contexts[i]
	if t.keys.find(t.keys.entries[i].key) != i {
		return 0, fmt.Errorf("is not found by its key")
	}
	fragments, received := 0, 0
	for p := c.pieces; p != none; p = t.pieces[p].older {
		h := t.pieces[p]
		size := int(h.end) - int(h.start)
		fragments++
		received += size
		for at := p; at != none; at = t.pool.next[at] {
			blocks++
		}
		for q := h.older; q != none; q = t.pieces[q].older {
			if o := t.pieces[q]; h.start < o.end && o.start < h.end {
				return 0, fmt.Errorf("holds overlapping fragments")
			}
		}
		if size <= 0 {
			return 0, fmt.Errorf("holds a fragment of %d octets", size)
		}
	}
	switch {
	case fragments != c.fragments || fragments > t.config.MaxFragmentsPerPacket:
		return 0, fmt.Errorf("holds %d fragments, counted %d", fragments, c.fragments)
	case c.spoiled == 0 && (fragments == 0 || received != c.received):
		return 0, fmt.Errorf("holds %d octets, counted %d", received, c.received)
	case c.spoiled != 0 && fragments != 0:
		return 0, fmt.Errorf("is spoiled and holds %d fragments", fragments)
	}
	return blocks, nil
}

func (t *Table) checkLimits() error {
	for _, first := range t.owners.buckets {
		for n := first; n != none; n = t.owners.entries[n].next {
			limit := t.config.PerSource
			if t.owners.entries[n].key.destination {
				limit = t.config.PerDestination
			}
			if limit > 0 && t.owned[n].length > limit {
				return fmt.Errorf("%+v has %d packets, limit %d", t.owners.entries[n].key, t.owned[n].length, limit)
			}
		}
	}
	return nil
}
