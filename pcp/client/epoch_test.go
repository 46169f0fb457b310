package client

import (
	"testing"
	"time"
)

// TestEpoch: RFC 6887 section 8.5, each bound from both sides.
func TestEpoch(t *testing.T) {
	start := time.Unix(1000, 0)
	tests := []struct {
		name          string
		before, after uint32 // the server's epoch
		passed        time.Duration
		plausible     bool
	}{
		{"as time passes", 100, 160, time.Minute, true},
		{"one second backwards", 100, 99, 0, true},
		{"two seconds backwards", 100, 98, 0, false},
		{"reset", 100000, 0, time.Second, false},
		{"reset long ago", 100, 3600, 2 * time.Hour, false},
		{"server fast by 2 s", 0, 2, 0, true},
		{"server fast by 3 s", 0, 3, 0, false},
		{"server slow by 2 s", 0, 0, 2 * time.Second, true},
		{"server slow by 3 s", 0, 0, 3 * time.Second, false},
		{"server fast by 1/16", 0, 1600 + 2, 1500 * time.Second, true},
		{"server fast by more", 0, 1600 + 19, 1500 * time.Second, false},
		{"server slow by 1/16", 0, 1500, (1600 + 2) * time.Second, true},
		{"server slow by more", 0, 1500, (1600 + 19) * time.Second, false},
		{"highest", 1<<32 - 2, 1<<32 - 1, time.Second, true},
		{"wrapped", 1<<32 - 1, 0, time.Second, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, plausible := Epoch{}.Observe(start, test.before)
			if !plausible {
				t.Fatal("the first one is not plausible")
			}
			if e, plausible = e.Observe(start.Add(test.passed), test.after); plausible != test.plausible {
				t.Fatalf("%d after %d and %s: plausible is %v", test.after, test.before, test.passed, plausible)
			}
			// What comes next is compared with the last one, plausible or not.
			if _, plausible = e.Observe(start.Add(test.passed), test.after); !plausible {
				t.Fatal("the same once more is not plausible")
			}
		})
	}
}
