package server

import (
	"hash/maphash"
	"sync"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// replays recognises a Release that was carried out before, in memory that does not
// grow: the last one of each client, unless another client has taken its place. RFC
// 8415 section 16.1 has each message of a client have a transaction ID of its own.
type replays struct {
	seed maphash.Seed
	mu   sync.Mutex
	last []uint64
}

// releasesKnown is how many are remembered.
const releasesKnown = 1 << 16

func newReplays() *replays {
	return &replays{seed: maphash.MakeSeed(), last: make([]uint64, releasesKnown)}
}

// place is where a client's last Release is remembered, and as what.
func (r *replays) place(client string, id dhcpv6.TransactionID) (place int, mark uint64) {
	place = int(maphash.String(r.seed, client) % releasesKnown)
	return place, maphash.String(r.seed, client+string(id[:])) | 1 // 0 is none
}

// known says whether a Release was carried out before.
func (r *replays) known(client string, id dhcpv6.TransactionID) bool {
	place, mark := r.place(client, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[place] == mark
}

// note notes that a Release was carried out.
func (r *replays) note(client string, id dhcpv6.TransactionID) {
	place, mark := r.place(client, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[place] = mark
}
