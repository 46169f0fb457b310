package speaker

import (
	"testing"
	"time"
)

// TestBusy: only who computes without a break is busy.
func TestBusy(t *testing.T) {
	tests := []struct {
		name string
		load func(second int) time.Duration // in that second
		want int                            // the second when it is busy, 0: never
	}{
		{"nothing to do", func(int) time.Duration { return 0 }, 0},
		{"an endless loop", func(int) time.Duration { return time.Second }, 31},
		{"two of them", func(int) time.Duration { return 2 * time.Second }, 31},
		{"much, with breaks", func(s int) time.Duration {
			if s%20 == 0 {
				return 0
			}
			return time.Second
		}, 0},
		{"much, and then an endless loop", func(s int) time.Duration {
			if s <= 5 {
				return 800 * time.Millisecond
			}
			return 950 * time.Millisecond
		}, 36},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b busy
			now, used := time.Now(), time.Duration(0)
			b.look(now, used)
			got := 0
			for second := 1; second <= 100 && got == 0; second++ {
				now, used = now.Add(time.Second), used+tt.load(second)
				if b.look(now, used) {
					got = second
				}
			}
			if got != tt.want {
				t.Errorf("busy in second %d, want %d", got, tt.want)
			}
		})
	}
	if one, err := used(); err != nil || one <= 0 {
		t.Errorf("this process used %s, %v", one, err)
	}
}
