package pcp

import (
	"net/netip"
	"sync"
	"time"
)

// Epoch is for how long the server has had its state, which is what each answer
// says (RFC 6887 section 8.5). It is one for all clients but those that lost
// theirs later, so that only these ask for everything again. Its methods may be
// called by several goroutines.
type Epoch struct {
	mu   sync.RWMutex
	zero time.Time
	// clients have an epoch of their own that began later. Without it, which is how
	// it is after a restart, a client asks for everything once more.
	clients map[netip.Addr]time.Time
}

// maxClients bounds Epoch.clients.
const maxClients = 1 << 16

// NewEpoch returns the epoch that was 0 at zero. It counts the seconds that really
// pass if zero was made of the present time.
func NewEpoch(zero time.Time) *Epoch {
	return &Epoch{zero: zero, clients: make(map[netip.Addr]time.Time)}
}

// Of is what a lwB4 is told at some time, in seconds.
func (e *Epoch) Of(lwb4 netip.Addr, now time.Time) uint32 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	zero := e.zero
	if own, ok := e.clients[lwb4]; ok {
		zero = own
	}
	return uint32(max(now.Sub(zero), 0) / time.Second)
}

// Reset begins anew for all clients, see NewEpoch.
func (e *Epoch) Reset(zero time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.zero = zero
	clear(e.clients)
}

// Began tells one epoch of all from the others: when it began, in seconds.
func (e *Epoch) Began() uint32 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return uint32(e.zero.Unix())
}

// resetOne begins anew for one client.
func (e *Epoch) resetOne(lwb4 netip.Addr, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.clients) >= maxClients {
		clear(e.clients)
	}
	e.clients[lwb4] = now
}
