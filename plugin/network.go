package plugin

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// networkOf is what is ours by c: its pools, and their BR addresses with those
// of the table's softwires that have another one.
func networkOf(c Config, table *softwire.Snapshot) dataplane.Network {
	n := dataplane.Network{Pools: c.Pools.Prefixes(), BRs: c.Pools.BRs()}
	seen := make(map[netip.Addr]bool)
	for _, br := range n.BRs {
		seen[br] = true
	}
	for s := range table.All() {
		if !seen[s.BR] {
			seen[s.BR] = true
			n.BRs = append(n.BRs, s.BR)
		}
	}
	slices.SortFunc(n.BRs, netip.Addr.Compare)
	return n
}

// union is everything of a and b. Of prefixes that overlap the wider one stands
// for both.
func union(a, b dataplane.Network) dataplane.Network {
	n := dataplane.Network{BRs: slices.Concat(a.BRs, b.BRs)}
	slices.SortFunc(n.BRs, netip.Addr.Compare)
	n.BRs = slices.Compact(n.BRs)
	pools := slices.Concat(a.Pools, b.Pools)
	slices.SortFunc(pools, func(x, y netip.Prefix) int {
		return cmp.Or(x.Addr().Compare(y.Addr()), cmp.Compare(x.Bits(), y.Bits()))
	})
	for _, p := range pools {
		if last := len(n.Pools) - 1; last < 0 || !n.Pools[last].Overlaps(p) {
			n.Pools = append(n.Pools, p)
		}
	}
	return n
}

func same(a, b dataplane.Network) bool {
	return slices.Equal(a.Pools, b.Pools) && slices.Equal(a.BRs, b.BRs)
}

// networks changes the data plane's networks without interrupting softwires:
// new ones are there before softwires that use them, and old ones stay until
// those that used them are gone.
type networks struct {
	rec  *reconcile.Reconciler
	wake chan struct{} // one place: there may be something to narrow down to

	mu     sync.Mutex
	now    dataplane.Network // what the reconciler was told last
	narrow *narrowing        // nil if now is what is wanted
}

// narrowing is a smaller network to come.
type narrowing struct {
	to dataplane.Network
	// removed are softwires that the change took away, by which the reconciler
	// is known to have seen it.
	removed []softwire.Key
}

func newNetworks(rec *reconcile.Reconciler, first dataplane.Network) *networks {
	return &networks{rec: rec, wake: make(chan struct{}, 1), now: first}
}

// widen makes n ours besides what is ours already.
func (w *networks) widen(n dataplane.Network) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.narrow = nil
	if both := union(w.now, n); !same(both, w.now) {
		w.now = both
		w.rec.SetNetwork(both)
	}
}

// settle makes n all that is ours once nothing needs more: the softwires that
// were removed are gone from the data plane, and everything else is done too.
func (w *networks) settle(n dataplane.Network, removed []softwire.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if same(n, w.now) {
		return
	}
	w.narrow = &narrowing{n, removed[:min(1, len(removed))]}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run carries out what settle asks for.
func (w *networks) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		w.mu.Lock()
		asked := w.narrow
		w.mu.Unlock()
		if asked == nil {
			continue
		}
		// An error says that the softwire is there again, or that ctx ended.
		_ = w.rec.Wait(ctx, asked.removed...)
		if !w.idle(ctx) {
			return nil
		}
		w.mu.Lock()
		if w.narrow == asked {
			w.now, w.narrow = asked.to, nil
			w.rec.SetNetwork(asked.to)
		}
		w.mu.Unlock()
	}
}

// idle waits until nothing is pending, and reports false if ctx ended.
func (w *networks) idle(ctx context.Context) bool {
	for generation := uint64(0); ; {
		// The generation first: what changes after it wakes the next wait.
		var err error
		if generation, err = w.rec.WaitProgress(ctx, generation); err != nil {
			return false
		}
		if s := w.rec.Stats(); s.Pending == 0 && !s.Syncing {
			return true
		}
	}
}
