// Package clock owns the time by which leases begin and end. It is the time of
// day, but for its faults: it never goes back, and does not follow a leap ahead
// that no lease would survive.
package clock

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Limits are how far the time of day may leap ahead.
type Limits struct {
	// Running is the longest leap that is followed.
	Running time.Duration
	// Start is the longest time between the last one that is known of an earlier
	// run and the present.
	Start time.Duration
}

// DefaultLimits are a day while running, and a year without running.
func DefaultLimits() Limits {
	return Limits{Running: 24 * time.Hour, Start: 365 * 24 * time.Hour}
}

// ErrAhead reports a time of day that is too far after the last known time.
var ErrAhead = errors.New("the time of day is too far ahead")

// Clock is a time that never goes back. Where the time of day does, the Clock
// goes at half the speed until it is reached again: everything lasts longer then
// and nothing shorter. Its methods may be called from any goroutine.
type Clock struct {
	limits Limits
	wall   func() time.Time

	mu    sync.Mutex
	now   time.Time     // returned last, without a monotonic reading
	then  time.Time     // when that was, with one
	limit time.Duration // of the next leap
	fault Fault
}

// Fault is what the Clock does not follow.
type Fault struct {
	// Ahead is how far the time of day is after the Clock, negative if before.
	Ahead time.Duration
	// Leap: the time of day leapt ahead by more than the limit.
	Leap bool
}

// New returns a Clock that follows wall, which is time.Now but in tests, and
// begins no earlier than latest, the last time that is known of an earlier run;
// the zero Time if none is. The error wraps ErrAhead.
func New(wall func() time.Time, latest time.Time, limits Limits) (*Clock, error) {
	now := wall().Round(0)
	c := &Clock{limits: limits, wall: wall, now: now, then: time.Now(), limit: limits.Running}
	if latest.IsZero() {
		return c, nil
	}
	switch gap := now.Sub(latest); {
	case gap > limits.Start:
		return nil, fmt.Errorf("it is %s, and was %s when leases changed last: %w by more than %s; set it right, or allow for more", now.Format(time.RFC3339), latest.Format(time.RFC3339), ErrAhead, limits.Start)
	case gap < 0:
		// A machine that lost its clock sets it later, and that leap is no fault.
		c.now, c.limit = latest.Round(0), limits.Start
	}
	return c, nil
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	then := time.Now()
	elapsed := then.Sub(c.then) // monotonic
	c.then = then
	day := c.wall().Round(0)
	ahead := day.Sub(c.now.Add(elapsed))
	switch {
	case ahead > c.limit:
		c.now = c.now.Add(elapsed)
		c.fault = Fault{ahead, true}
	case ahead >= 0:
		c.now, c.limit = day, c.limits.Running
		c.fault = Fault{}
	default:
		c.now = c.now.Add(max(elapsed/2, elapsed+ahead))
		c.fault = Fault{Ahead: day.Sub(c.now)}
	}
	return c.now
}

// Fault returns what the Clock did not follow when Now was called last; the zero
// Fault if it follows.
func (c *Clock) Fault() Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// String says what is wrong and what to do.
func (f Fault) String() string {
	switch {
	case f.Leap:
		return fmt.Sprintf("the time of day leapt ahead by %s, which leases do not follow: set it right, or restart to accept it", f.Ahead.Round(time.Second))
	case f.Ahead < 0:
		return fmt.Sprintf("the time of day is %s behind that of leases, which waits for it", (-f.Ahead).Round(time.Second))
	}
	return ""
}
