// Package histogram owns how latencies are counted: by how long something took,
// in fixed steps from 100 µs to 30 s, so that parts can count without knowing who
// reads it.
package histogram

import (
	"sync/atomic"
	"time"
)

// Bounds are the longest times of the steps, ascending. What took longer than the
// last is in none of them.
func Bounds() []time.Duration { return append([]time.Duration(nil), bounds[:]...) }

var bounds = [...]time.Duration{
	100 * time.Microsecond, 300 * time.Microsecond,
	time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond,
	100 * time.Millisecond, 300 * time.Millisecond,
	time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Histogram counts times. Its zero value is ready, and its methods may be called
// from several goroutines.
type Histogram struct {
	steps [len(bounds) + 1]atomic.Uint64
	sum   atomic.Int64
}

// Observe counts one that took d.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.steps[i].Add(1)
	h.sum.Add(int64(d))
}

// Reading is a Histogram as it was.
type Reading struct {
	// Within counts, for each of Bounds, what took at most that long.
	Within [len(bounds)]uint64
	Count  uint64
	Sum    time.Duration
}

// Read returns what was counted. What is counted meanwhile may be missing in a
// part of it, but Within never decreases nor exceeds Count.
func (h *Histogram) Read() Reading {
	r := Reading{Sum: time.Duration(h.sum.Load())}
	for i := range h.steps {
		r.Count += h.steps[i].Load()
		if i < len(r.Within) {
			r.Within[i] = r.Count
		}
	}
	return r
}
