package forwarder

import (
	"context"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// EachSoftwire calls visit with the counters of each softwire that there is, and
// its place in keys: the rows that SoftwireCounters yields, without a walk over
// all. The error is nil.
func (f *Forwarder) EachSoftwire(_ context.Context, keys []softwire.Key, visit func(i int, c dataplane.SoftwireCounters)) error {
	table, rows := f.shared.table.Snapshot(), &f.shared.counters.softwires
	for i, key := range keys {
		if slot, ok := table.Slot(key); ok {
			visit(i, dataplane.SoftwireCounters{Key: key, ToB4: rows.row(slot, toB4).read(), FromB4: rows.row(slot, fromB4).read()})
		}
	}
	return nil
}
