package forwarder

import (
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// SoftwireCounter reads the counters of one softwire: its row of what
// SoftwireCounters yields. It is false if there is no such softwire.
func (f *Forwarder) SoftwireCounter(key softwire.Key) (dataplane.SoftwireCounters, bool) {
	slot, ok := f.shared.table.Snapshot().Slot(key)
	if !ok {
		return dataplane.SoftwireCounters{}, false
	}
	rows := &f.shared.counters.softwires
	return dataplane.SoftwireCounters{Key: key, ToB4: rows.row(slot, toB4).read(), FromB4: rows.row(slot, fromB4).read()}, true
}
