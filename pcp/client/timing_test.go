package client

import (
	"errors"
	"math"
	"testing"
	"time"
)

// TestRetransmission: RFC 6887 section 8.1.1.
func TestRetransmission(t *testing.T) {
	timing := DefaultTiming()
	tests := []struct {
		before time.Duration
		random float64
		want   time.Duration
	}{
		{0, 0, 2700 * time.Millisecond},
		{0, 0.5, 3 * time.Second},
		{0, 1, 3300 * time.Millisecond},
		{2700 * time.Millisecond, 0.5, 5400 * time.Millisecond},
		{700 * time.Second, 0.5, 1024 * time.Second},
		{1100 * time.Second, 0, 921600 * time.Millisecond},
	}
	for _, test := range tests {
		got := timing.retransmission(test.before, test.random)
		if diff := got - test.want; diff < -time.Microsecond || diff > time.Microsecond {
			t.Errorf("after %s with %v: %s, want %s", test.before, test.random, got, test.want)
		}
	}
}

// TestRenewal: RFC 6887 section 11.2.1.
func TestRenewal(t *testing.T) {
	for n, want := range [][2]float64{
		{1. / 2, 5. / 8}, {3. / 4, 3./4 + 1./16}, {7. / 8, 7./8 + 1./32}, {15. / 16, 15./16 + 1./64},
	} {
		if got := [2]float64{renewal(n, 0), renewal(n, 1)}; got != want {
			t.Errorf("renewal %d is due between %v, want %v", n, got, want)
		}
	}
	if got := renewal(1000, 1); got > 1 || math.IsNaN(got) {
		t.Errorf("renewal 1000 is due at %v", got)
	}
}

func TestTimingValidate(t *testing.T) {
	if err := DefaultTiming().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Timing){
		"initial": func(t *Timing) { t.Initial = 0 }, "maximum": func(t *Timing) { t.Maximum = time.Second },
		"tries": func(t *Timing) { t.Tries = 0 }, "pause": func(t *Timing) { t.Pause = 0 },
		"renewal gap": func(t *Timing) { t.RenewalGap = 0 }, "spread": func(t *Timing) { t.Spread = -1 },
		"longest": func(t *Timing) { t.Longest = 0 },
	} {
		timing := DefaultTiming()
		change(&timing)
		if err := timing.Validate(); !errors.Is(err, ErrTiming) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
