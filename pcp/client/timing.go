package client

import (
	"errors"
	"fmt"
	"time"
)

// Timing says how long a client waits for what.
type Timing struct {
	// Initial and Maximum bound the time after which an unanswered request is
	// sent again: IRT and MRT of RFC 6887 section 8.1.1.
	Initial, Maximum time.Duration
	// Tries is how many requests go to one of several addresses of a server
	// without an answer before the next one's turn, and Pause the rest after each
	// of them had its turn (RFC 7488 section 3). A single address is tried for
	// ever.
	Tries int
	Pause time.Duration
	// RenewalGap is the least time between two renewals (RFC 6887 section
	// 11.2.1).
	RenewalGap time.Duration
	// Spread is the longest a client waits, at random, before it asks again for
	// what its server lost (RFC 6887 section 14.1.3).
	Spread time.Duration
	// Longest is what a longer lifetime, of a mapping or of an error, is taken
	// for (RFC 6887 section 15).
	Longest time.Duration
}

// DefaultTiming is what the RFCs ask for.
func DefaultTiming() Timing {
	return Timing{
		Initial:    3 * time.Second,
		Maximum:    1024 * time.Second,
		Tries:      4,
		Pause:      15 * time.Minute,
		RenewalGap: 4 * time.Second,
		Spread:     5 * time.Second,
		Longest:    24 * time.Hour,
	}
}

// ErrTiming reports a Timing that no client can follow.
var ErrTiming = errors.New("timing that makes no sense")

// Validate finds values that are not positive. The error wraps ErrTiming.
func (t Timing) Validate() error {
	if t.Initial <= 0 || t.Maximum < t.Initial || t.Tries <= 0 || t.Pause <= 0 || t.RenewalGap <= 0 || t.Spread < 0 || t.Longest <= 0 {
		return fmt.Errorf("%w: %+v", ErrTiming, t)
	}
	return nil
}

// retransmission is RT of RFC 6887 section 8.1.1: how long to wait for an answer
// after the wait before, which is zero for a first request. random is from 0
// (inclusive) to 1.
func (t Timing) retransmission(before time.Duration, random float64) time.Duration {
	wait := t.Initial
	if before > 0 {
		wait = min(2*before, t.Maximum)
	}
	return scale(wait, 0.9+0.2*random)
}

// renewal is when the n-th renewal, from 0, is due, as a part of the lifetime:
// between 1/2 and 5/8, 3/4 and 3/4+1/16, 7/8 and 7/8+1/32, and so on (RFC 6887
// section 11.2.1).
func renewal(n int, random float64) float64 {
	left := 1.0
	for range n + 1 {
		left /= 2
	}
	return 1 - left + random*left/4
}

// lifetime is how long an answer that names so many seconds is believed.
func (t Timing) lifetime(seconds uint32) time.Duration {
	return min(time.Duration(seconds)*time.Second, t.Longest)
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
