// Package limiter owns how many requests somebody may send: token buckets by who
// sends, in memory that does not grow.
package limiter

import (
	"hash/maphash"
	"sync"
	"time"
)

// Limiter is token buckets by key: keys that fall into the same place share a
// bucket. Its methods may be called from several goroutines.
type Limiter[K comparable] struct {
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

// New returns a Limiter of rate requests per second for each key; 0 is without
// limit.
func New[K comparable](rate int) *Limiter[K] {
	l := &Limiter[K]{rate: float64(rate), seed: maphash.MakeSeed()}
	if rate > 0 {
		l.buckets = make([]bucket, buckets)
	}
	return l
}

// Allow takes a token, if there is one.
func (l *Limiter[K]) Allow(now time.Time, whose K) bool {
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
