package forwarder

import (
	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

// fragments is what a Worker holds of incomplete packets. Each side has a
// table, so that a flood from one leaves the other alone; it is made when the
// first fragment comes.
type fragments struct {
	limits     FragmentsConfig
	ipv4, ipv6 *reassembly.Table
	landing    landing
}

// landing is the reassembly.Arena of a Worker. It remembers the packet.
type landing struct {
	arena  *arena
	packet packet
}

// Alloc is as in reassembly.Arena.
func (l *landing) Alloc(n int) []byte {
	l.packet = l.arena.alloc(n)
	return l.packet.bytes()
}

// configure changes the limits. What is held is forgotten if they differ.
func (f *fragments) configure(limits FragmentsConfig) {
	if limits != f.limits {
		*f = fragments{limits: limits}
	}
}

// table returns *t, made if need be.
func (w *Worker) fragmentTable(t **reassembly.Table, limits ReassemblyConfig) *reassembly.Table {
	if *t == nil {
		made, err := reassembly.New(limits.config())
		if err != nil {
			return nil // Config.Validate refuses such limits
		}
		*t = made
	}
	return *t
}

// expire gives up what was not complete in time.
func (w *Worker) expire() {
	for _, t := range [...]*reassembly.Table{w.fragments.ipv4, w.fragments.ipv6} {
		if t != nil {
			w.lost(t.Expire(w.now))
		}
	}
}

// reassemble4 makes the IPv4 packet p whole, if this fragment completes it. h
// is then its new header. b4 is the lwB4 whose softwire the packet came out of,
// nil for one from the IPv4 side.
func (w *Worker) reassemble4(p *packet, h *header4, b4 *[16]byte) bool {
	f := &w.fragments
	f.landing.arena = &w.arena
	var r reassembly.Result
	if b4 == nil {
		t := w.fragmentTable(&f.ipv4, f.limits.IPv4)
		if t == nil {
			w.drop(DropFragmentLimit)
			return false
		}
		r = t.IPv4(w.now, p.bytes(), &f.landing)
	} else {
		t := w.fragmentTable(&f.ipv6, f.limits.IPv6)
		if t == nil {
			w.drop(DropFragmentLimit)
			return false
		}
		r = t.SoftwireIPv4(w.now, *b4, p.bytes(), &f.landing)
	}
	if !w.landed(&r, p) {
		return false
	}
	event, ok := parse4(p.bytes(), h)
	if !ok {
		w.drop(event)
	}
	return ok
}

// reassembleInner is reassemble4 for an IPv4 fragment in a tunnel packet. Each
// had a tunnel header of its own, whose ECN it takes along before they are
// joined (RFC 6040 section 4.2); outer has none left then.
func (w *Worker) reassembleInner(inner *packet, h *header4, outer *header6) bool {
	tos, ok := decapECN(h.tos, outer.tclass)
	if !ok {
		w.drop(DropECN)
		return false
	}
	// The tunnel packet may be quoted later, and then as it came.
	fragment := inner.bytes()
	before := [header4Len]byte(fragment)
	setTOS(fragment, tos)
	ok = w.reassemble4(inner, h, &outer.src)
	copy(fragment, before[:])
	outer.tclass &^= ecnMask
	return ok
}

// reassemble6 is reassemble4 for tunnel packets.
func (w *Worker) reassemble6(p *packet, h *header6) bool {
	f := &w.fragments
	f.landing.arena = &w.arena
	t := w.fragmentTable(&f.ipv6, f.limits.IPv6)
	if t == nil {
		w.drop(DropFragmentLimit)
		return false
	}
	r := t.IPv6(w.now, p.bytes(), &f.landing)
	if !w.landed(&r, p) {
		return false
	}
	event, ok := parse6(p.bytes(), h)
	if ok && h.fragment {
		event, ok = DropIPv6Extension, false
	}
	if !ok {
		w.drop(event)
	}
	return ok
}

// landed counts what a fragment led to and makes *p the whole packet, if it is.
func (w *Worker) landed(r *reassembly.Result, p *packet) bool {
	w.lost(r.Drops)
	if r.Held {
		w.count(FragmentsHeld)
	}
	if r.Packet == nil {
		return false
	}
	w.count(Reassembled)
	*p = w.fragments.landing.packet
	return true
}

// lost counts fragments that were given up.
func (w *Worker) lost(drops []reassembly.Drop) {
	for i := range drops {
		for range drops[i].Fragments {
			w.drop(fragmentEvent(drops[i].Cause))
		}
	}
}

func fragmentEvent(c reassembly.Cause) Event {
	switch c {
	case reassembly.Overlap:
		return DropFragmentOverlap
	case reassembly.Duplicate:
		return DropFragmentDuplicate
	case reassembly.Timeout:
		return DropFragmentTimeout
	case reassembly.TooManyFragments, reassembly.SourceLimit, reassembly.DestinationLimit,
		reassembly.TableFull, reassembly.NoMemory:
		return DropFragmentLimit
	case reassembly.MixedECN:
		return DropECN
	}
	return DropFragmentBad
}
