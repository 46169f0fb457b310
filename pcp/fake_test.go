package pcp

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// fakeGrants is one address with 64 port sets of 1024 ports, of which the first
// is not lent, and if whole is set an address for one subscriber.
type fakeGrants struct {
	now      func() time.Time
	mu       sync.Mutex // held by the methods
	bindings []Binding
	quota    uint8
	whole    bool
	err      error         // of Acquire and Release
	proceed  chan struct{} // if set, Acquire waits for it
	acquired int           // calls
	released int
}

var fakeIPv4 = netip.MustParseAddr("192.0.2.5")

func (f *fakeGrants) Held(lwb4 netip.Addr) []Binding {
	f.mu.Lock()
	defer f.mu.Unlock()
	var held []Binding
	for _, b := range f.bindings {
		if sameSubscriber(b.LwB4, lwb4) {
			held = append(held, b)
		}
	}
	return held
}

func sameSubscriber(a, b netip.Addr) bool {
	pa, _ := a.Prefix(56)
	return pa.Contains(b)
}

func (f *fakeGrants) Extend(w Want) (Binding, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.bindings {
		if b := &f.bindings[i]; f.err == nil && sameSubscriber(b.LwB4, w.LwB4) && b.Number == w.Number && b.LwB4 == w.LwB4 && b.Nonce == w.Nonce {
			b.Expires, b.Contact, b.Description = f.now().Add(w.Lifetime), w.Contact, w.Description
			return *b, true
		}
	}
	return Binding{}, false
}

func (f *fakeGrants) Acquire(ctx context.Context, w Want) (Binding, error) {
	if f.proceed != nil {
		select {
		case <-f.proceed:
		case <-ctx.Done():
			return Binding{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acquired++
	if f.err != nil {
		return Binding{}, f.err
	}
	for i := range f.bindings {
		if b := &f.bindings[i]; sameSubscriber(b.LwB4, w.LwB4) && b.Number == w.Number {
			b.LwB4, b.Nonce, b.Known, b.Expires = w.LwB4, w.Nonce, true, f.now().Add(w.Lifetime)
			b.Contact, b.Description = w.Contact, w.Description
			return *b, nil
		}
	}
	b := Binding{
		Number: w.Number, LwB4: w.LwB4, IPv4: fakeIPv4, Nonce: w.Nonce, Known: true,
		Expires: f.now().Add(w.Lifetime), Contact: w.Contact, Description: w.Description,
	}
	switch {
	case w.Number >= f.quota:
		return Binding{}, ErrQuota
	case w.Whole && !f.whole:
		return Binding{}, ErrNotLent
	case w.Whole:
		b.IPv4 = netip.MustParseAddr("192.0.2.6")
	default:
		var ok bool
		if b.PortSet, ok = f.free(w); !ok {
			return Binding{}, ErrRange
		}
	}
	if w.Only && !(b.IPv4 == w.Suggested.Addr() && b.PortSet.Contains(w.Suggested.Port())) {
		return Binding{}, ErrSuggestion
	}
	f.bindings = append(f.bindings, b)
	return b, nil
}

// free finds the set with the suggested port, or the first one within the range.
func (f *fakeGrants) free(w Want) (portset.PortSet, bool) {
	var found portset.PortSet
	ok := false
	for psid := uint16(63); psid > 0; psid-- {
		set, _ := portset.Of(0, 6, psid)
		block := firstBlock(set)
		if block.First < w.Within.First || block.Last > w.Within.Last || f.taken(set) {
			continue
		}
		if set.Contains(w.Suggested.Port()) {
			return set, true
		}
		found, ok = set, true
	}
	return found, ok
}

func (f *fakeGrants) taken(set portset.PortSet) bool {
	for _, b := range f.bindings {
		if b.PortSet == set {
			return true
		}
	}
	return false
}

func (f *fakeGrants) Release(_ context.Context, lwb4 netip.Addr, number uint8) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released++
	if f.err != nil {
		return f.err
	}
	for i, b := range f.bindings {
		if sameSubscriber(b.LwB4, lwb4) && b.Number == number {
			f.bindings = append(f.bindings[:i], f.bindings[i+1:]...)
			return nil
		}
	}
	return nil
}
