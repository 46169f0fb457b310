package forwarder

import "time"

// limiter decides whether one more error may be sent: a token bucket over all
// of them and one for each destination (RFC 4443 section 2.4 (f)). It never
// allocates after it was made, whoever the destinations are.
//
// Destinations share a fixed number of buckets, so that a flood towards many
// of them may at worst hold back errors to others; the bucket over all bounds
// what a flood can cause anyway.
type limiter struct {
	all  bucket
	each []destinationBucket
	seed uint64
}

const limiterBuckets = 4096 // a power of two

type destinationBucket struct {
	key uint64
	bucket
}

// bucket holds tokens in nanoseconds of its rate's period, so that it needs
// neither a timer nor floating point.
type bucket struct {
	// full is the time at which the bucket has all its tokens again, in
	// nanoseconds since the epoch.
	full int64
}

// take takes a token of a bucket that gains rate tokens a second and holds a
// second's worth: a traceroute sends its probes in bursts.
func (b *bucket) take(now int64, rate int) bool {
	if rate <= 0 {
		return false
	}
	period := int64(time.Second) / int64(rate)
	const burst = int64(time.Second)
	// Beyond now+burst lies only what a clock that was set back left there.
	if b.full < now || b.full > now+burst {
		b.full = now
	}
	if b.full+period-now > burst {
		return false
	}
	b.full += period
	return true
}

func newLimiter(seed uint64) *limiter {
	return &limiter{each: make([]destinationBucket, limiterBuckets), seed: seed}
}

// allow reports whether an error to the destination that key stands for may be
// sent now, and counts it as sent.
func (l *limiter) allow(now time.Time, key uint64, rate RateConfig) bool {
	ns := now.UnixNano()
	b := &l.each[mix64(key^l.seed)%limiterBuckets]
	if b.key != key {
		// The place is taken over once its tenant has all its tokens back.
		if b.full > ns && b.full-ns <= int64(time.Second) {
			return false
		}
		*b = destinationBucket{key: key}
	}
	before := b.bucket
	if !b.take(ns, rate.PerDestination) {
		return false
	}
	if !l.all.take(ns, rate.Total) {
		b.bucket = before
		return false
	}
	return true
}

// mix64 spreads the bits of x over all of the result.
func mix64(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return x
}
