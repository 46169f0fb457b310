package tunnel

import (
	"sync/atomic"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
)

// recent remembers, by their fingerprints, the packets that were sent last. One
// goroutine notes, others ask.
type recent struct {
	// Each slot has a fingerprint, but for its low bits, and there the second in
	// which the packet was sent, modulo 2^secondBits.
	slots [recentSlots]atomic.Uint64
}

const (
	recentSlots = 4096
	secondBits  = 10
	secondMask  = 1<<secondBits - 1
	// recentLimit is how many seconds after a packet an error about it is believed.
	recentLimit = 10
)

func (r *recent) note(packet []byte, now time.Time) {
	f := encap.Fingerprint(packet)
	r.slots[f%recentSlots].Store(f&^secondMask | uint64(now.Unix())&secondMask)
}

// has says whether a packet was sent lately of which this is the beginning.
func (r *recent) has(packet []byte, now time.Time) bool {
	f := encap.Fingerprint(packet)
	slot := r.slots[f%recentSlots].Load()
	age := (uint64(now.Unix()) - slot) & secondMask
	return slot&^secondMask == f&^secondMask && age <= recentLimit
}
