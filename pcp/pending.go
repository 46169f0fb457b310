package pcp

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/lwaftr/lw4o6/pcp/datagram"
)

// pending is the requests that wait for Grants, so many at most.
type pending struct {
	most int
	seed maphash.Seed
	mu   sync.Mutex
	all  map[waiter]struct{}
}

// waiter is a request, by who sent it from where, and a hash of what.
type waiter struct {
	lwb4 netip.Addr
	from netip.AddrPort
	what uint64
}

func newPending(most int) *pending {
	return &pending{most: most, seed: maphash.MakeSeed(), all: make(map[waiter]struct{})}
}

// enter adds a request, unless there are too many, or it waits already: then the
// answer to come is for both.
func (p *pending) enter(d datagram.Datagram, from Origin) (w waiter, ok bool) {
	w = waiter{from.LwB4, d.From, maphash.Bytes(p.seed, d.Payload)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.all[w]; there || len(p.all) >= p.most {
		return w, false
	}
	p.all[w] = struct{}{}
	return w, true
}

func (p *pending) leave(w waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, w)
}
