package histogram

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestSteps(t *testing.T) {
	for _, tt := range []struct {
		name string
		took time.Duration
		step int // the first that has it
	}{
		{"nothing", 0, 0},
		{"a bound belongs to its step", 100 * time.Microsecond, 0},
		{"past a bound", 100*time.Microsecond + 1, 1},
		{"in the middle", 2 * time.Second, 9},
		{"the last bound", 30 * time.Second, 11},
		{"past all", time.Minute, 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h Histogram
			h.Observe(tt.took)
			r := h.Read()
			if r.Count != 1 || r.Sum != tt.took {
				t.Errorf("%+v", r)
			}
			for i, n := range r.Within {
				if has := n == 1; has != (i >= tt.step) {
					t.Errorf("step %d has %d", i, n)
				}
			}
		})
	}
}

func TestBounds(t *testing.T) {
	b := Bounds()
	if len(b) != len(Reading{}.Within) || !slices.IsSorted(b) {
		t.Errorf("%v", b)
	}
	b[0] = 0
	if Bounds()[0] == 0 {
		t.Error("the bounds can be changed from outside")
	}
}

// TestConcurrent: nothing is lost, and what is read meanwhile is consistent.
func TestConcurrent(t *testing.T) {
	const goroutines, each = 8, 1000
	var h Histogram
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			for j := range each {
				h.Observe(time.Duration(i*each+j) * time.Microsecond)
			}
		})
	}
	for range 100 {
		if r := h.Read(); !slices.IsSorted(r.Within[:]) || r.Within[len(r.Within)-1] > r.Count {
			t.Fatalf("%+v", r)
		}
	}
	all.Wait()
	if r := h.Read(); r.Count != goroutines*each {
		t.Errorf("%d of %d", r.Count, goroutines*each)
	}
}
