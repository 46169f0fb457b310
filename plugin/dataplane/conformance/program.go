package conformance

import (
	"context"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// The pauses between two polls of a counter.
const (
	minPause = time.Millisecond
	maxPause = 100 * time.Millisecond
)

// sleep reports false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func addition(sw softwire.Softwire) dataplane.Op {
	return dataplane.Op{Kind: dataplane.Put, Softwire: sw}
}

// removal carries the key only: nothing else of the softwire counts.
func removal(key softwire.Key) dataplane.Op {
	return dataplane.Op{
		Kind:     dataplane.Remove,
		Softwire: softwire.Softwire{IPv4: key.IPv4, PortSet: key.PortSet},
	}
}

// put programs softwires and remove ends them.
func (l *lab) put(softwires ...softwire.Softwire) {
	l.Helper()
	var ops []dataplane.Op
	for _, sw := range softwires {
		ops = append(ops, addition(sw))
	}
	l.program(ops...)
}

func (l *lab) remove(softwires ...softwire.Softwire) {
	l.Helper()
	var ops []dataplane.Op
	for _, sw := range softwires {
		ops = append(ops, removal(sw.Key()))
	}
	l.program(ops...)
}

// program requires that every op is programmed.
func (l *lab) program(ops ...dataplane.Op) {
	l.Helper()
	for i, r := range l.apply(ops...) {
		if r.Outcome != dataplane.Programmed || r.Err != nil {
			l.Fatalf("%s %s: %s, error %v", ops[i].Kind, ops[i].Softwire, r.Outcome, r.Err)
		}
	}
}

// apply requires one result per op, each with an error if it is a failure.
func (l *lab) apply(ops ...dataplane.Op) []dataplane.Result {
	l.Helper()
	ctx, cancel := l.patiently()
	defer cancel()
	results, err := l.dp.Apply(ctx, ops)
	if err != nil {
		l.Fatalf("Apply of %d ops: %v", len(ops), err)
	}
	if len(results) != len(ops) {
		l.Fatalf("Apply of %d ops returned %d results", len(ops), len(results))
	}
	for i, r := range results {
		if r.Outcome > dataplane.Unsupported || (r.Err == nil) != (r.Outcome == dataplane.Programmed) {
			l.Errorf("%s %s: outcome %s with error %v", ops[i].Kind, ops[i].Softwire, r.Outcome, r.Err)
		}
	}
	return results
}

// softwires reads back what is programmed.
func (l *lab) softwires() map[softwire.Key]softwire.Softwire {
	l.Helper()
	ctx, cancel := l.patiently()
	defer cancel()
	read := make(map[softwire.Key]softwire.Softwire)
	for sw, err := range l.dp.Softwires(ctx) {
		if err != nil {
			l.Fatalf("reading softwires back: %v", err)
		}
		if _, twice := read[sw.Key()]; twice {
			l.Errorf("read back twice: %s", sw.Key())
		}
		read[sw.Key()] = sw
	}
	return read
}

// holds requires that exactly want, and the marker's softwire, is programmed.
func (l *lab) holds(want ...softwire.Softwire) {
	l.Helper()
	read := l.softwires()
	for _, sw := range append(want, l.marker) {
		if got, ok := read[sw.Key()]; !ok {
			l.Errorf("not read back: %s", sw)
		} else if got != sw {
			l.Errorf("read back %s, want %s", got, sw)
		}
		delete(read, sw.Key())
	}
	for _, sw := range read {
		l.Errorf("read back, but never put or already removed: %s", sw)
	}
}

func (l *lab) counters() dataplane.Counters {
	l.Helper()
	ctx, cancel := l.patiently()
	defer cancel()
	c, err := l.dp.Counters(ctx)
	if err != nil {
		l.Fatalf("Counters: %v", err)
	}
	return c
}
