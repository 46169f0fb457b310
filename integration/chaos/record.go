package main

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// claim is what a subscriber may rely on: a lease that was acknowledged.
type claim struct {
	key  softwire.Key
	from time.Time // when the answer came
	// until is when it ends by what the subscriber was told, or when an end was
	// asked for.
	until time.Time
	ended bool // an end was asked for
}

// live reports whether the claim holds at a time.
func (c claim) live(now time.Time) bool { return !c.ended && now.Before(c.until) }

// held is what the data plane had of a port set last.
type held struct {
	by         netip.Prefix
	b4         netip.Addr
	programmed bool
	removed    time.Time // not before
}

// record is what the parent knows by itself. Times are those of the children:
// now is called for each.
type record struct {
	holdDown time.Duration

	mu     sync.Mutex
	ahead  time.Duration // of the children's time of day
	claims map[netip.Prefix]claim
	past   []pastClaim // claims that ended
	plane  map[softwire.Key]held
	broken []string
}

// pastClaim is a time for which the history must name a subscriber.
type pastClaim struct {
	by netip.Prefix
	claim
}

func newRecord(holdDown time.Duration) *record {
	return &record{holdDown: holdDown, claims: make(map[netip.Prefix]claim), plane: make(map[softwire.Key]held)}
}

// subscriberOf is the subscriber with that address.
func subscriberOf(b4 netip.Addr) netip.Prefix { return netip.PrefixFrom(b4, 56).Masked() }

// now is the children's time. The lock is held.
func (r *record) now() time.Time { return time.Now().Add(r.ahead) }

// advance lets the children's time of day leap ahead, while there is no child.
func (r *record) advance(by time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ahead += by
	return r.ahead
}

// fail notes that an invariant broke. The lock is held.
func (r *record) fail(invariant, format string, args ...any) {
	r.broken = append(r.broken, invariant+": "+fmt.Sprintf(format, args...))
}

// broke is fail for those who do not hold the lock.
func (r *record) broke(invariant, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail(invariant, format, args...)
}

// failed is what broke.
func (r *record) failed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// asksEnd notes that a subscriber's claim is to end. Whether it does is not known
// before the answer, which may never come.
func (r *record) asksEnd(by netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.claims[by]
	if !ok || c.ended {
		return
	}
	if now := r.now(); now.Before(c.until) {
		c.until = now
	}
	c.ended = true
	r.claims[by] = c
	// What the data plane has lost may be at rest from now on.
	if h := r.plane[c.key]; h.by == by && !h.programmed && h.removed.After(c.until) {
		h.removed = c.until
		r.plane[c.key] = h
	}
}

// acknowledged notes that a subscriber was told of a lease with that lwB4
// address.
func (r *record) acknowledged(b4 netip.Addr, key softwire.Key, expires time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// An answer may come so late that the lease has ended.
	if h := r.plane[key]; r.now().Before(expires) && (!h.programmed || h.b4 != b4) {
		r.fail("I2", "%s was told of %s, which is programmed: %t, for %s", b4, key, h.programmed, h.b4)
	}
	r.told(subscriberOf(b4), key, expires)
}

// renewed notes that a subscriber was told that its lease goes on.
func (r *record) renewed(by netip.Prefix, key softwire.Key, expires time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told(by, key, expires)
}

// told compares what a subscriber was told with what all were told before. The
// lock is held.
func (r *record) told(by netip.Prefix, key softwire.Key, expires time.Time) {
	now := r.now()
	if before, ok := r.claims[by]; ok {
		if before.key != key && before.live(now) {
			r.fail("I2", "%s was told of %s until %s, and at %s of %s", by, before.key, clock(before.until), clock(now), key)
		}
		if before.key == key && before.live(now) {
			before.until = expires // by what the subscriber knows now
			r.claims[by] = before
			return
		}
		r.past = append(r.past, pastClaim{by, before})
	}
	for other, c := range r.claims {
		if other != by && c.live(now) && c.key.IPv4 == key.IPv4 && c.key.PortSet.Overlaps(key.PortSet) {
			r.fail("I1", "%s was told of %s, which %s has until %s", by, key, other, clock(c.until))
		}
	}
	r.claims[by] = claim{key: key, from: now, until: expires}
}

// endAcknowledged notes that a subscriber was told that its lease is no more.
func (r *record) endAcknowledged(by netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.claims[by]
	if !ok {
		return
	}
	if h := r.plane[c.key]; h.programmed && h.by == by {
		r.fail("I2", "%s was told that %s is no more, which is still programmed", by, c.key)
	}
	r.past = append(r.past, pastClaim{by, c})
	delete(r.claims, by)
}

// planePut notes that the data plane forwards for s. It had not begun to before
// begun.
func (r *record) planePut(s softwire.Softwire, begun time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, by := s.Key(), subscriberOf(s.B4)
	if h, ok := r.plane[key]; ok && h.by != by {
		since := begun.Add(r.ahead).Sub(h.removed)
		c := r.claims[h.by]
		switch {
		case h.programmed:
			r.fail("I1", "%s was put for %s while %s has it", key, by, h.by)
		case c.key == key && c.live(r.now()):
			r.fail("I2", "%s was put for %s, and %s has it until %s", key, by, h.by, clock(c.until))
		case since < r.holdDown:
			r.fail("I3", "%s was put for %s %s after %s had it", key, by, since, h.by)
		}
	}
	r.plane[key] = held{by: by, b4: s.B4, programmed: true}
}

// planeRemoved notes that the data plane does not forward for key any more.
func (r *record) planeRemoved(key softwire.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.plane[key]
	if !h.programmed {
		return
	}
	now := r.now()
	if c, ok := r.claims[h.by]; ok && c.key == key && c.live(now) {
		r.fail("I2", "%s was removed at %s, which %s has until %s", key, clock(now), h.by, clock(c.until))
	}
	h.programmed, h.removed = false, now
	r.plane[key] = h
}

// planeLost notes that the data plane has nothing any more. A lease does not end
// by that, and its hold-down begins no earlier than its claim ends.
func (r *record) planeLost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, h := range r.plane {
		if !h.programmed {
			continue
		}
		h.programmed, h.removed = false, r.now()
		if c, ok := r.claims[h.by]; ok && c.key == key && c.until.After(h.removed) {
			h.removed = c.until
		}
		r.plane[key] = h
	}
}

// liveClaims are those that must survive what happened.
func (r *record) liveClaims() map[netip.Prefix]claim {
	r.mu.Lock()
	defer r.mu.Unlock()
	live := make(map[netip.Prefix]claim)
	for by, c := range r.claims {
		if c.live(r.now()) {
			live[by] = c
		}
	}
	return live
}

// missing notes that a claim is not served after a restart, if it is still live.
func (r *record) missing(by netip.Prefix, c claim, where string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.claims[by]; now.key == c.key && now.live(r.now()) {
		r.fail("I2", "after a restart %s has not got %s, which it was told of until %s: %s", by, c.key, clock(c.until), where)
	}
}

// served reports whether the data plane forwards for a claim, unless it is not
// live any more.
func (r *record) served(by netip.Prefix, c claim) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.plane[c.key]
	return h.programmed && h.by == by || !r.claims[by].live(r.now()) || r.claims[by].key != c.key
}

// allClaims are all that there ever were.
func (r *record) allClaims() []pastClaim {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.past
	for by, c := range r.claims {
		all = append(all, pastClaim{by, c})
	}
	return all
}

// clock is a time for people.
func clock(t time.Time) string { return t.Format("15:04:05.000") }
