package announce

import (
	"net/netip"
	"slices"
	"time"
)

// memory is what the gate knows over a restart.
type memory struct {
	// Stopped: the router was stopped, it did not die.
	Stopped bool `json:"stopped"`
	// Admitted are the prefixes of pools and the BR addresses whose pools were
	// complete once.
	Admitted map[netip.Prefix]bool `json:"admitted"`
	Pools    map[string]*record    `json:"pools"` // by name
}

// record is what is remembered of one pool.
type record struct {
	Up    bool      `json:"up"`    // its routes may be out
	Known bool      `json:"known"` // it was up once
	Rose  time.Time `json:"rose"`  // when it was up last
	// Losses are withdrawals in a row, without a long time up between them.
	Losses int `json:"losses"`
	// Returns are when it came back after a loss, as far as the flap limit counts.
	Returns []time.Time `json:"returns,omitempty"`
	// Why it was lost last, and whether it waits for an operator since.
	Reason string `json:"reason,omitempty"`
	Held   bool   `json:"held"`
	// Drain is when an operator began to drain it; zero: none did. Drained: it is
	// done, and the routes are to stay away.
	Drain   time.Time `json:"drain,omitzero"`
	Drained bool      `json:"drained"`
}

// lose takes the pool away. A pool that was up for all of window before has
// flapped for the first time.
func (r *record) lose(now time.Time, window time.Duration, reason string) {
	if now.Sub(r.Rose) >= window {
		r.Losses = 0
	}
	r.Up, r.Reason = false, reason
	r.Losses++
	if r.draining() {
		r.Drained = true
	}
}

// rise brings it out, for the first time or again.
func (r *record) rise(now time.Time) {
	if r.Losses > 0 {
		r.Returns = append(r.Returns, now)
	}
	r.Up, r.Known, r.Rose, r.Reason = true, true, now, ""
}

// returns counts how often it came back within window.
func (r *record) returns(now time.Time, window time.Duration) int {
	r.Returns = slices.DeleteFunc(r.Returns, func(t time.Time) bool { return now.Sub(t) >= window })
	return len(r.Returns)
}

// forgive makes it as if it had never been lost or drained.
func (r *record) forgive() {
	r.Losses, r.Returns, r.Held, r.Reason = 0, nil, false, ""
	r.Drain, r.Drained = time.Time{}, false
}

func (r *record) draining() bool { return !r.Drain.IsZero() && !r.Drained }

// restore makes m usable at now, for the given routes and pools. What is of no
// pool any more is forgotten, and so is a time to come: the clock was changed.
func (m *memory) restore(now time.Time) {
	if m.Pools == nil {
		m.Pools = make(map[string]*record)
	}
	early := func(t time.Time) time.Time {
		if t.After(now) {
			return now
		}
		return t
	}
	for _, r := range m.Pools {
		r.Rose, r.Drain = early(r.Rose), early(r.Drain)
		for i := range r.Returns {
			r.Returns[i] = early(r.Returns[i])
		}
	}
}
