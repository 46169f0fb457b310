package pcp

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
)

// pending is the requests that wait for Grants, so many at most. Some of them are
// being handled, the others wait for that in the order in which they came: to wait
// there costs little, so that all clients can ask at once.
type pending struct {
	most, mostHandled int
	seed              maphash.Seed
	mu                sync.Mutex
	all               map[waiter]struct{}
	queue             []waiting
	handled           int
}

// mostHandled is how many requests are handled at once: enough for Grants that are
// made in batches.
const mostHandled = 1024

// waiter is a request, by who sent it from where, and a hash of what.
type waiter struct {
	lwb4 netip.Addr
	from netip.AddrPort
	what uint64
}

// waiting is a request that waits until it is too late for an answer.
type waiting struct {
	waiter
	datagram datagram.Datagram
	from     Origin
	to       Sender // takes the answers
	until    time.Time
}

func newPending(most int) *pending {
	return &pending{most: most, mostHandled: mostHandled, seed: maphash.MakeSeed(), all: make(map[waiter]struct{})}
}

// enter adds a request, unless there are too many, or it waits already: then the
// answer to come is for both. It says whether somebody has to begin to handle
// requests, with next.
func (p *pending) enter(w waiting) (begin, ok bool) {
	w.waiter = waiter{w.from.LwB4, w.datagram.From, maphash.Bytes(p.seed, w.datagram.Payload)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.all[w.waiter]; there || len(p.all) >= p.most {
		return false, false
	}
	p.all[w.waiter] = struct{}{}
	// It is in the memory of a batch.
	w.datagram.Payload = slices.Clone(w.datagram.Payload)
	p.queue = append(p.queue, w)
	if begin = p.handled < p.mostHandled; begin {
		p.handled++
	}
	return begin, true
}

// next returns the request to handle. If there is none, whoever asks ends.
func (p *pending) next() (w waiting, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.handled--
		return waiting{}, false
	}
	w, p.queue[0] = p.queue[0], waiting{}
	p.queue = p.queue[1:]
	return w, true
}

// leave takes a request off that was handled.
func (p *pending) leave(w waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, w)
}
