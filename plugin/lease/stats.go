package lease

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/pool"
)

// PoolStats is how much of a pool is in use.
type PoolStats struct {
	Pool     string
	Draining bool
	Counts
}

// Stats returns numbers of all pools, in their order.
func (b *Book) Stats() []PoolStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]PoolStats, len(b.pools))
	for i, st := range b.pools {
		all[i] = PoolStats{st.def.Name, st.draining, st.counts}
		if st.fresh != nil {
			all[i].Fresh = st.fresh.count
		}
	}
	return all
}

// Pools returns the pools as Configure was given them.
func (b *Book) Pools() pool.Pools {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.defs
}

// BRs lists the BR addresses of bound leases, each once, in no order. It takes
// time in proportion to all leases.
func (b *Book) BRs() []netip.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	used := make([]bool, len(b.brs.list))
	b.records.each(func(_ ref, rec *record) { used[rec.br] = used[rec.br] || rec.state == Bound })
	var all []netip.Addr
	for i, br := range b.brs.list {
		if used[i] {
			all = append(all, br)
		}
	}
	return all
}

// Drain ends, or begins again, that a pool gives out and extends leases. Those
// that it has expire. The error wraps ErrPool.
func (b *Book) Drain(name string, drain bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	st, ok := b.names[name]
	if !ok {
		return fmt.Errorf("pool %q: %w: there is none of that name", name, ErrPool)
	}
	st.draining = drain
	return nil
}
