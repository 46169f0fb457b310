package fake

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// CallKind names a call that needs the data plane.
type CallKind uint8

// The kinds of Call.
const (
	CallConfigure CallKind = iota
	CallApply
	CallSoftwires
	CallCounters
	CallInject
)

// String names the call.
func (k CallKind) String() string {
	switch k {
	case CallConfigure:
		return "configure"
	case CallApply:
		return "apply"
	case CallSoftwires:
		return "softwires"
	case CallCounters:
		return "counters"
	case CallInject:
		return "inject"
	}
	return fmt.Sprintf("call %d", uint8(k))
}

// Call is one call that was made. Only calls that were executed are recorded.
type Call struct {
	Kind    CallKind
	Network dataplane.Network  // of a CallConfigure
	Ops     []dataplane.Op     // of a CallApply
	Results []dataplane.Result // of a CallApply: one per op that was executed
}

// record appends to the record of calls. The lock is held.
func (d *Dataplane) record(call Call) {
	if !d.Quiet {
		d.calls = append(d.calls, call)
	}
}

// Calls returns Configure, Apply and Softwires calls in the order they were
// executed since the last Forget.
func (d *Dataplane) Calls() []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// Ops yields every op of Calls with its result.
func (d *Dataplane) Ops() iter.Seq2[dataplane.Op, dataplane.Result] {
	calls := d.Calls()
	return func(yield func(dataplane.Op, dataplane.Result) bool) {
		for _, call := range calls {
			for i, result := range call.Results {
				if !yield(call.Ops[i], result) {
					return
				}
			}
		}
	}
}

// Forget empties the record of calls.
func (d *Dataplane) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = nil
}

// Held returns what is programmed, by key.
func (d *Dataplane) Held() map[softwire.Key]softwire.Softwire {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make(map[softwire.Key]softwire.Softwire, d.count)
	for _, sets := range d.bindings {
		for sw := range maps.Values(sets) {
			held[sw.Key()] = sw
		}
	}
	return held
}

// Network returns the network last configured in this incarnation.
func (d *Dataplane) Network() (dataplane.Network, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.network == nil {
		return dataplane.Network{}, false
	}
	return cloneNetwork(*d.network), true
}

// Plant makes the data plane hold softwires that nobody programmed: what an
// earlier process left. They may overlap others and lack a B4 or BR address.
func (d *Dataplane) Plant(softwires ...softwire.Softwire) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, sw := range softwires {
		d.put(sw)
	}
}

// Pluck makes the data plane lose single softwires without noticing.
func (d *Dataplane) Pluck(keys ...softwire.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range keys {
		d.remove(key)
	}
}
