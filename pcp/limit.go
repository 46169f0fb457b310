package pcp

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// limiter is token buckets by address, in memory that does not grow: addresses
// that fall into the same place share a bucket.
type limiter struct {
	rate    float64 // tokens per second; 0 is without limit
	seed    maphash.Seed
	mu      sync.Mutex
	buckets []bucket
}

type bucket struct {
	used float64 // tokens that are not back yet
	at   time.Time
}

// buckets is how many there are, and burst how many seconds' worth of tokens one
// holds.
const (
	buckets = 1 << 16
	burst   = 2
)

func newLimiter(rate int) *limiter {
	l := &limiter{rate: float64(rate), seed: maphash.MakeSeed()}
	if rate > 0 {
		l.buckets = make([]bucket, buckets)
	}
	return l
}

// allow takes a token, if there is one.
func (l *limiter) allow(now time.Time, whose netip.Prefix) bool {
	if l.rate == 0 {
		return true
	}
	place := maphash.Comparable(l.seed, whose) % buckets
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &l.buckets[place]
	b.used = max(b.used-now.Sub(b.at).Seconds()*l.rate, 0)
	b.at = now
	if b.used+1 > burst*l.rate {
		return false
	}
	b.used++
	return true
}
