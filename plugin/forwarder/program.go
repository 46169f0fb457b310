package forwarder

import (
	"context"
	"errors"
	"iter"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Apply is as in dataplane.Programmer.
func (f *Forwarder) Apply(ctx context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	results := make([]dataplane.Result, len(ops))
	for start := 0; start < len(ops); {
		end := start + together(ops[start:])
		f.apply(ops[start:end], results[start:end])
		start = end
	}
	return results, nil
}

// together is how many of the first ops make one change of the table: removals,
// then puts, no key twice.
func together(ops []dataplane.Op) int {
	seen := make(map[softwire.Key]struct{}, len(ops))
	puts := false
	for i, op := range ops {
		key := op.Softwire.Key()
		if _, again := seen[key]; again || puts && op.Kind == dataplane.Remove {
			return i
		}
		seen[key] = struct{}{}
		puts = op.Kind == dataplane.Put
	}
	return len(ops)
}

// apply executes ops as one change of the table or, if that is refused because
// of one of them, one by one.
func (f *Forwarder) apply(ops []dataplane.Op, results []dataplane.Result) {
	err := f.change(ops)
	if err == nil {
		return
	}
	if len(ops) == 1 {
		results[0] = refusal(err)
		return
	}
	for i := range ops {
		f.apply(ops[i:i+1], results[i:i+1])
	}
}

// refusal is the result of an op that the table refused with err. A conflict
// ends when the other softwire is removed; a bad address stays one.
func refusal(err error) dataplane.Result {
	if errors.Is(err, softwire.ErrConflict) {
		return dataplane.Result{Outcome: dataplane.Retryable, Err: err}
	}
	return dataplane.Result{Outcome: dataplane.Unsupported, Err: err}
}

// change applies ops to the table and starts the counters of new softwires.
func (f *Forwarder) change(ops []dataplane.Op) error {
	var c softwire.Change
	for _, op := range ops {
		if op.Kind == dataplane.Put {
			c.Put = append(c.Put, op.Softwire)
		} else {
			c.Remove = append(c.Remove, op.Softwire.Key())
		}
	}
	// Slots of the new table are not known before it is there, and Workers use
	// them at once: make room for as many as there can be.
	before := f.shared.table.Snapshot()
	f.shared.counters.softwires.grow(before.Slots() + len(c.Put))
	if err := f.shared.table.Apply(c); err != nil {
		return err
	}
	after := f.shared.table.Snapshot()
	for _, s := range c.Put {
		slot, ok := after.Slot(s.Key())
		if was, had := before.Get(s.Key()); ok && (!had || was.B4 != s.B4) {
			f.shared.counters.softwires.clear(slot)
		}
	}
	return nil
}

// Softwires is as in dataplane.Programmer.
func (f *Forwarder) Softwires(ctx context.Context) iter.Seq2[softwire.Softwire, error] {
	return func(yield func(softwire.Softwire, error) bool) {
		for s := range f.shared.table.Snapshot().All() {
			if err := ctx.Err(); err != nil {
				yield(softwire.Softwire{}, err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Counters is as in dataplane.Counter. The events are those of this package,
// each with its count, zero or not.
func (f *Forwarder) Counters(ctx context.Context) (dataplane.Counters, error) {
	if err := ctx.Err(); err != nil {
		return dataplane.Counters{}, err
	}
	c := &f.shared.counters
	out := dataplane.Counters{
		Granularity:  dataplane.PerSoftwire,
		Encapsulated: c.encapsulated.read(),
		Decapsulated: c.decapsulated.read(),
		Hairpinned:   c.hairpinned.read(),
	}
	for e := range Events {
		out.Events = append(out.Events, dataplane.Event{Name: e.String(), Meaning: e.Meaning(), Drop: e.Drop(), Packets: c.events[e].Load()})
	}
	return out, nil
}

// SoftwireCounters is as in dataplane.Counter.
func (f *Forwarder) SoftwireCounters(ctx context.Context) iter.Seq2[dataplane.SoftwireCounters, error] {
	return func(yield func(dataplane.SoftwireCounters, error) bool) {
		t := f.shared.table.Snapshot()
		for s := range t.All() {
			if err := ctx.Err(); err != nil {
				yield(dataplane.SoftwireCounters{}, err)
				return
			}
			slot, ok := t.Slot(s.Key())
			if !ok {
				continue
			}
			row := dataplane.SoftwireCounters{
				Key:    s.Key(),
				ToB4:   f.shared.counters.softwires.row(slot, toB4).read(),
				FromB4: f.shared.counters.softwires.row(slot, fromB4).read(),
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}
