package forwarder

import (
	"testing"
	"time"
)

func TestLimiterPerDestination(t *testing.T) {
	l := newLimiter(1)
	now := time.Unix(1000, 0)
	rate := RateConfig{Total: 100000, PerDestination: 10}
	sent := 0
	for range 10_000 { // one second in steps of 0.1 ms
		if l.allow(now, 7, rate) {
			sent++
		}
		now = now.Add(100 * time.Microsecond)
	}
	if sent < 19 || sent > 20 { // what the bucket held and what it gained
		t.Errorf("%d errors in a second to one destination, want 20 or one less", sent)
	}
	sent = 0
	for range 10_000 {
		if l.allow(now, 7, rate) {
			sent++
		}
		now = now.Add(100 * time.Microsecond)
	}
	if sent < 9 || sent > 11 {
		t.Errorf("%d errors in the second after, want 10", sent)
	}
}

func TestLimiterTotal(t *testing.T) {
	l := newLimiter(1)
	now := time.Unix(1000, 0)
	rate := RateConfig{Total: 500, PerDestination: 1000}
	sent := 0
	for i := range 100_000 { // one second, a new destination each time
		if l.allow(now, uint64(i)*0x9e3779b97f4a7c15, rate) {
			sent++
		}
		now = now.Add(10 * time.Microsecond)
	}
	if sent < 999 || sent > 1001 { // what the bucket held and what it gained
		t.Errorf("%d errors in a second in all, want 1000", sent)
	}
}

func TestLimiterOff(t *testing.T) {
	l := newLimiter(1)
	for _, rate := range []RateConfig{{0, 10}, {10, 0}, {0, 0}} {
		if l.allow(time.Unix(1000, 0), 1, rate) {
			t.Errorf("%+v let an error through", rate)
		}
	}
}

// TestLimiterFloodLeavesOthers: one destination that uses up its share does not
// keep another from its own.
func TestLimiterFloodLeavesOthers(t *testing.T) {
	l := newLimiter(1)
	now := time.Unix(1000, 0)
	rate := RateConfig{Total: 1000, PerDestination: 10}
	for range 100_000 {
		l.allow(now, 1, rate)
	}
	if !l.allow(now, 2, rate) {
		t.Error("a flood to one destination silenced another")
	}
}

func TestLimiterClockSetBack(t *testing.T) {
	l := newLimiter(1)
	rate := RateConfig{Total: 10, PerDestination: 10}
	now := time.Unix(1_000_000, 0)
	for l.allow(now, 1, rate) {
	}
	now = now.Add(-24 * time.Hour)
	l.allow(now, 1, rate)
	if now = now.Add(time.Second); !l.allow(now, 1, rate) {
		t.Error("errors stay held back a second after the clock was set back by a day")
	}
}
