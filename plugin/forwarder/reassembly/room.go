package reassembly

import "time"

const (
	// maxExpired is how many packets may time out within one call.
	maxExpired = 16
	// quoteSize is what an ICMPv6 error within the minimum MTU can quote.
	quoteSize = 1280 - 40 - 8
)

// shares is how many owners one packet has at most: a source and a destination.
const shares = 2

// makeRoom frees memory for f by giving up the oldest packets, but not keep,
// which f belongs to. It reports false, having dropped f, if there is too
// little of it.
func (t *Table) makeRoom(f *piece, keep uint32) bool {
	need := blocksFor(len(f.keep()))
	if need > t.pool.blocks() {
		t.drop(NoMemory, 1)
		return false
	}
	for t.pool.available() < need {
		victim := t.byAge.oldest
		if victim == keep {
			victim = t.age[victim].newer
		}
		if victim == none {
			t.drop(NoMemory, 1)
			return false
		}
		t.giveUp(victim, NoMemory)
	}
	return true
}

// admit makes room for one more packet within all limits but that of memory.
// It reports false, having dropped f, if there can be none.
func (t *Table) admit(f *piece) bool {
	if t.config.MaxContexts == 0 {
		t.drop(TableFull, 1)
		return false
	}
	for share, o := range t.ownersOf(f) {
		limit, cause := t.config.PerSource, SourceLimit
		if share == 1 {
			limit, cause = t.config.PerDestination, DestinationLimit
		}
		if o == (owner{}) || limit == 0 {
			continue
		}
		if n := t.owners.find(o); n != none && t.owned[n].length >= limit {
			t.giveUp(t.owned[n].oldest, cause)
		}
	}
	if t.keys.full() {
		t.giveUp(t.byAge.oldest, TableFull)
	}
	return true
}

// ownersOf is who is charged for the packet of f. There is no second owner
// within softwires: their outer destination is a BR address, which all share.
func (t *Table) ownersOf(f *piece) [shares]owner {
	k := &f.key
	switch {
	case k.family == family6:
		return [shares]owner{{address: k.src, family: family6}}
	case k.b4 != [16]byte{}:
		return [shares]owner{{address: k.b4, family: family6}}
	}
	return [shares]owner{
		{address: k.src, family: family4},
		{address: k.dst, family: family4, destination: true},
	}
}

// charge puts the context i on the accounts of its owners.
func (t *Table) charge(i uint32, f *piece) {
	c := &t.contexts[i]
	for share, o := range t.ownersOf(f) {
		c.owners[share] = none
		if o == (owner{}) {
			continue
		}
		n := t.owners.find(o)
		if n == none {
			n = t.owners.add(o)
			t.owned[n] = newList()
		}
		c.owners[share] = n
		t.owned[n].push(t.peers[share], i)
	}
}

// discharge takes the context i off the accounts again.
func (t *Table) discharge(i uint32) {
	for share, n := range t.contexts[i].owners {
		if n == none {
			continue
		}
		t.owned[n].remove(t.peers[share], i)
		if t.owned[n].length == 0 {
			t.owners.remove(n)
		}
	}
}

// giveUp drops the packet i.
func (t *Table) giveUp(i uint32, cause Cause) {
	if n := t.contexts[i].fragments; n > 0 {
		t.drop(cause, n)
	}
	t.close(i)
}

// expired reports whether the time of the context i is over.
func (t *Table) expired(i uint32, now time.Duration) bool {
	return now-t.contexts[i].started >= t.config.Timeout
}

// expire times out the oldest packets.
func (t *Table) expire(now time.Duration) {
	for range maxExpired {
		i := t.byAge.oldest
		if i == none || !t.expired(i, now) {
			return
		}
		t.timeOut(i)
	}
}

// timeOut drops the packet i, and keeps the beginning of its first fragment
// for an ICMP error.
func (t *Table) timeOut(i uint32) {
	c := &t.contexts[i]
	if c.fragments > 0 {
		d := Drop{Cause: Timeout, Fragments: c.fragments}
		if c.first != none {
			h := t.pieces[c.first]
			size := min(c.head.prefix+int(h.end), quoteSize)
			at := len(t.quotes)
			t.quotes = t.quotes[:at+size]
			d.First = t.quotes[at : at+size : at+size]
			t.pool.load(d.First, c.first, 0)
			d.B4 = t.keys.entries[i].key.b4
		}
		t.drops = append(t.drops, d)
	}
	t.close(i)
}
