package reassembly

import "time"

// context is one incomplete packet.
type context struct {
	started time.Duration // when its first fragment came
	// spoiled is why it was given up, when later fragments are to share its
	// fate. It holds nothing then.
	spoiled Cause

	pieces    uint32 // the newest fragment, a number into Table.pieces
	first     uint32 // the one with offset zero
	fragments int
	seen      uint8 // set of ECN codepoints

	received  int // octets of data held
	low, high int // the range they are in
	total     int // octets of data in the whole packet, 0 while unknown

	head   head // when first is held
	owners [shares]uint32
}

// held is one fragment in memory; its number is that of its first block.
type held struct {
	older      uint32 // fragment of the same packet
	start, end uint16 // of its data in the whole packet's
}

// add handles f, a part of a packet.
func (t *Table) add(now time.Duration, f *piece, into Arena, r *Result) {
	i := t.keys.find(f.key)
	if i != none && t.expired(i, now) {
		t.timeOut(i)
		i = none
	}
	if i == none {
		r.Held = t.open(now, f)
		return
	}
	c := &t.contexts[i]
	if c.spoiled != 0 {
		t.drop(c.spoiled, 1)
		return
	}
	if cause := t.fits(c, f); cause == Duplicate {
		t.drop(Duplicate, 1)
		return
	} else if cause != 0 {
		t.spoil(i, cause)
		return
	}
	total := c.total
	if !f.more {
		total = f.end()
	}
	// Nothing overlaps and nothing is beyond the end, so the count tells.
	if c.received+len(f.data()) != total {
		if r.Held = t.makeRoom(f, i); r.Held {
			t.hold(c, f)
		}
		return
	}
	packet, cause := t.assemble(c, f, into)
	fragments := c.fragments + 1
	t.close(i)
	if cause != 0 {
		t.drop(cause, fragments)
		return
	}
	r.Packet, r.Fragments = packet, fragments
}

// fits compares f with the fragments that c holds.
func (t *Table) fits(c *context, f *piece) Cause {
	end := f.end()
	switch {
	// Only the last fragment ends at the end, and there is one end. Until it
	// is known, everything held says that more follows.
	case f.more && c.total > 0 && end >= c.total,
		!f.more && c.total > 0 && end != c.total,
		!f.more && c.total == 0 && end <= c.high:
		return Inconsistent
	case f.start < c.high && end > c.low:
		for i := c.pieces; i != none; i = t.pieces[i].older {
			h := &t.pieces[i]
			if f.start >= int(h.end) || end <= int(h.start) {
				continue
			}
			if f.start != int(h.start) || end != int(h.end) || !t.same(c, i, f) {
				return Overlap
			}
			return Duplicate
		}
	}
	if c.fragments == t.config.MaxFragmentsPerPacket {
		return TooManyFragments
	}
	return 0
}

// same reports whether f has the data of the held fragment i.
func (t *Table) same(c *context, i uint32, f *piece) bool {
	skip := 0
	if i == c.first {
		skip = c.head.prefix
	}
	return t.pool.equal(f.data(), i, skip)
}

// open starts a packet with its first-arriving fragment f. It reports false,
// having dropped f, if there is no room at all.
func (t *Table) open(now time.Duration, f *piece) bool {
	if !t.makeRoom(f, none) || !t.admit(f) {
		return false
	}
	i := t.keys.add(f.key)
	c := &t.contexts[i]
	*c = context{started: now, pieces: none, first: none, low: f.start}
	t.byAge.push(t.age, i)
	t.charge(i, f)
	t.hold(c, f)
	return true
}

// hold stores f, for which there is room.
func (t *Table) hold(c *context, f *piece) {
	i := t.pool.store(f.keep())
	t.pieces[i] = held{older: c.pieces, start: uint16(f.start), end: uint16(f.end())}
	c.pieces = i
	c.fragments++
	c.seen |= 1 << f.ecn
	c.received += len(f.data())
	c.low = min(c.low, f.start)
	c.high = max(c.high, f.end())
	if !f.more {
		c.total = f.end()
	}
	if f.start == 0 {
		c.first = i
		c.head = f.head
	}
}

// release frees what the context i holds.
func (t *Table) release(c *context) {
	for i := c.pieces; i != none; {
		older := t.pieces[i].older
		t.pool.release(i)
		i = older
	}
	c.pieces, c.first, c.fragments = none, none, 0
}

// close forgets the context i.
func (t *Table) close(i uint32) {
	t.release(&t.contexts[i])
	t.discharge(i)
	t.byAge.remove(t.age, i)
	t.keys.remove(i)
}

// spoil gives up the packet i together with the fragment at hand, and keeps in
// mind that later ones are to be dropped (RFC 5722 section 4: including those
// not yet received).
func (t *Table) spoil(i uint32, cause Cause) {
	c := &t.contexts[i]
	t.drop(cause, c.fragments+1)
	t.release(c)
	c.spoiled = cause
}
