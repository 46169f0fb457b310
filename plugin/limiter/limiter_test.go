package limiter

import (
	"fmt"
	"testing"
	"time"
)

// TestAllow: each key has two seconds' worth of tokens, which come back at the rate.
func TestAllow(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	l := New[string](5)
	take := func(key string, n int) (allowed int) {
		for range n {
			if l.Allow(now, key) {
				allowed++
			}
		}
		return allowed
	}
	if got := take("a", 100); got != 10 {
		t.Errorf("%d of 100 at once", got)
	}
	now = now.Add(time.Second)
	if got := take("a", 100); got != 5 {
		t.Errorf("%d of 100 after a second", got)
	}
	others := 0
	for i := range 1000 {
		if l.Allow(now, fmt.Sprint("other ", i)) {
			others++
		}
	}
	if others < 990 {
		t.Errorf("%d of 1000 other keys", others)
	}
	// A time that goes back gives nothing.
	now = now.Add(-time.Hour)
	if got := take("a", 100); got != 0 {
		t.Errorf("%d of 100 an hour before", got)
	}
}

// TestNoLimit: a rate of 0 is none.
func TestNoLimit(t *testing.T) {
	l := New[int](0)
	for range 1000 {
		if !l.Allow(time.Time{}, 1) {
			t.Fatal("refused")
		}
	}
}
