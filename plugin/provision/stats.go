package provision

import (
	"errors"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/provision/clock"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// Stats is how leases are.
type Stats struct {
	Pools []lease.PoolStats
	// Doubtful leases are decided and perhaps not durable; Unconfirmed ones are
	// durable and perhaps not programmed; Ending ones are to be taken out of the
	// data plane.
	Doubtful, Unconfirmed, Ending int

	Requests []Requests // by mechanism
	Totals   Totals
	Store    store.Stats
	Clock    clock.Fault
}

// Totals count since Load.
type Totals struct {
	Granted, Changed, Renewed         uint64
	Released, Expired, Moved, Removed uint64
}

// ended counts the end of a lease.
func (t *Totals) ended(kind history.Kind) {
	switch kind {
	case history.Released:
		t.Released++
	case history.Expired:
		t.Expired++
	case history.Moved:
		t.Moved++
	default:
		t.Removed++
	}
}

// Stats returns the present numbers.
func (p *Provisioner) Stats() Stats {
	s := Stats{Pools: p.book.Stats(), Store: p.store.Stats(), Clock: p.clock.Fault()}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Doubtful, s.Unconfirmed, s.Ending = len(p.doubtful), len(p.unconfirmed), len(p.ending)
	s.Requests, s.Totals = p.asked(), p.totals
	return s
}

// tolerable is how far the time of day may be behind that of leases, which is
// what a time server may correct.
const tolerable = time.Minute

// Problems says what is wrong with leases, nothing if all is well.
func (s Stats) Problems() []string {
	var all []string
	if s.Store.Err != nil {
		all = append(all, "no leases are granted: "+s.Store.Err.Error())
	}
	if s.Clock.Leap || s.Clock.Ahead < -tolerable {
		all = append(all, s.Clock.String())
	}
	return all
}

// exhaustion is the log of requests that found pools empty.
type exhaustion struct {
	logged time.Time
	since  uint64 // refused since then
}

// logPause is between two lines of the log about what lasts.
const logPause = time.Minute

// noteExhausted logs that pools are empty, if that is what err says, but not too
// often. The lock is held.
func (p *Provisioner) noteExhausted(err error) {
	if !errors.Is(err, ErrExhausted) {
		return
	}
	p.exhausted.since++
	if now := time.Now(); p.exhausted.logged.IsZero() || now.Sub(p.exhausted.logged) >= logPause {
		p.log.WithError(err).WithField("requests", p.exhausted.since).Warn("requests are refused; add addresses to the pool")
		p.exhausted = exhaustion{logged: now}
	}
}
