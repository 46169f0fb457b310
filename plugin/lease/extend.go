package lease

import "time"

// setExpiry lets l last for lifetime from now, and after a restart as long again.
func (l *Lease) setExpiry(now time.Time, lifetime time.Duration) {
	l.Expires = ceil(now.Add(lifetime)).time()
	l.Horizon = ceil(l.Expires.Add(lifetime)).time()
}

// extend lets a bound lease last for lifetime from now, as far as its horizon
// allows.
func (b *Book) extend(r ref, lifetime time.Duration, now time.Time) Grant {
	rec := b.records.at(r)
	st := b.pools[rec.pool]
	if rec.expires == 0 || !st.extends(rec) {
		l := b.lease(rec)
		return Grant{Lease: l, Beyond: l}
	}
	lifetime = st.def.Lifetime.Clamp(lifetime)
	b.expire(r, min(ceil(now.Add(lifetime)), rec.horizon))
	g := Grant{Lease: b.lease(rec)}
	g.Beyond = g.Lease
	g.Beyond.setExpiry(now, lifetime)
	if !g.Beyond.Expires.After(g.Lease.Horizon) {
		g.Beyond = g.Lease
	}
	return g
}

// expire changes when a bound lease expires.
func (b *Book) expire(r ref, at instant) {
	rec := b.records.at(r)
	rec.expires = at
	// A later time is left for Expire to find out, so that a renewal costs no
	// more than this.
	if at < b.expiry.items[rec.place].when {
		b.expiry.set(&b.records, at, r)
	}
}

// Extend puts the Beyond of a Grant that is Existing into effect, after it has
// become durable.
func (b *Book) Extend(beyond Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.find(beyond.Key())
	if r == 0 {
		return
	}
	if rec := b.records.at(r); rec.state == Bound && rec.expires != 0 && rec.heldBy(beyond) {
		b.lengthen(r, beyond)
	}
}

func (b *Book) lengthen(r ref, beyond Lease) {
	rec := b.records.at(r)
	if rec.expires == 0 {
		return
	}
	rec.horizon = max(rec.horizon, ceil(beyond.Horizon))
	b.expire(r, ceil(beyond.Expires))
}
