package provision

import (
	"errors"

	"github.com/lwaftr/lw4o6/plugin/histogram"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// Result is how a request was answered.
type Result uint8

// The results.
const (
	Granted       Result = iota
	Exhausted            // ErrExhausted
	Quota                // ErrQuota
	Mechanism            // ErrMechanism
	Unknown              // ErrUnknown
	Invalid              // ErrInvalid, ErrPool and anything else
	Storage              // ErrStorage
	NotProgrammed        // ErrNotProgrammed
	results              // how many there are
)

// String names the result for metrics.
func (r Result) String() string {
	return [...]string{"granted", "exhausted", "quota", "mechanism", "unknown", "invalid", "storage", "not-programmed"}[r]
}

// resultOf is what err of a request stands for.
func resultOf(err error) Result {
	if err == nil {
		return Granted
	}
	for _, known := range []struct {
		err    error
		result Result
	}{
		{ErrExhausted, Exhausted}, {ErrQuota, Quota}, {ErrMechanism, Mechanism}, {ErrUnknown, Unknown},
		{ErrNotProgrammed, NotProgrammed}, {ErrStorage, Storage},
	} {
		if errors.Is(err, known.err) {
			return known.result
		}
	}
	return Invalid
}

// Requests counts the requests of one mechanism: what Acquire, Extend and Renew
// came to, and what Offer refused.
type Requests struct {
	Mechanism pool.Mechanism
	Results   [results]uint64 // by Result
	// Time is how long Acquire and Renew took. Extend takes none.
	Time histogram.Reading
}

// mechanisms are those that requests are counted by; those with another one are
// refused.
var mechanisms = [...]pool.Mechanism{pool.Static, pool.DHCPv6, pool.PCP}

// requests are the counters behind Requests.
type requests struct {
	results [results]uint64 // the Provisioner's lock guards them
	time    histogram.Histogram
}

// index is where m is counted.
func index(m pool.Mechanism) int {
	for i, known := range mechanisms {
		if m == known {
			return i
		}
	}
	return len(mechanisms)
}

// answered counts the answer to a request.
func (p *Provisioner) answered(m pool.Mechanism, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[index(m)].results[resultOf(err)]++
	p.noteExhausted(err)
}

// asked reads the counters. The lock is held.
func (p *Provisioner) asked() []Requests {
	var all []Requests
	for i := range p.requests {
		r := Requests{Mechanism: "other", Results: p.requests[i].results, Time: p.requests[i].time.Read()}
		if i < len(mechanisms) {
			r.Mechanism = mechanisms[i]
		}
		all = append(all, r)
	}
	return all
}
