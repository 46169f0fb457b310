package vppdrv

import (
	"iter"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
)

// Unsupported yields those of softwires that VPP can never have beside the
// others of their IPv4 address, which come one after the other, and why.
func Unsupported(softwires iter.Seq[softwire.Softwire]) iter.Seq2[softwire.Softwire, error] {
	empty := plan.New(plan.Layout{})
	return func(yield func(softwire.Softwire, error) bool) {
		var ops []dataplane.Op // on one address
		report := func() bool {
			for i, r := range empty.Batch(ops).Results() {
				if r.Outcome == dataplane.Unsupported && !yield(ops[i].Softwire, r.Err) {
					return false
				}
			}
			ops = ops[:0]
			return true
		}
		for s := range softwires {
			if len(ops) > 0 && ops[0].Softwire.IPv4 != s.IPv4 && !report() {
				return
			}
			ops = append(ops, dataplane.Op{Kind: dataplane.Put, Softwire: s})
		}
		report()
	}
}
