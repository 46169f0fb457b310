package delegation

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/provision/clock"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// Store is what a Keeper needs of package store.
type Store interface {
	Commit(ctx context.Context, batch store.Batch) error
	Values(ctx context.Context, collection string) iter.Seq2[store.Value, error]
}

// Config is how a Keeper works.
type Config struct {
	Pools []Pool
	// MaxOffers is how many prefixes may be offered at the same time.
	MaxOffers int
	Clock     clock.Limits
	// Retry is how long it waits before it tries again what has failed.
	Retry time.Duration
	// Timeout is how long a commit lasts at most, and Patience how long it takes at
	// most to give a softwire back.
	Timeout, Patience time.Duration
}

// DefaultConfig has no pools.
func DefaultConfig() Config {
	return Config{MaxOffers: 1 << 16, Clock: clock.DefaultLimits(), Retry: 5 * time.Second, Timeout: 10 * time.Second, Patience: time.Second}
}

// Keeper is a Book whose delegations are durable. Its methods may be called from
// any goroutine after Load.
type Keeper struct {
	config Config
	store  Store
	wall   func() time.Time
	log    logrus.FieldLogger
	clock  *clock.Clock // set by Load
	wake   chan struct{}

	mu   sync.Mutex // guards everything below
	book *Book
	// busy has the clients whose delegations somebody changes, with a channel that
	// is closed at the end of it.
	busy map[string]chan struct{}
	// doubtful are prefixes of which the store may have something else.
	doubtful map[key]struct{}
	saved    time.Time // of the clock, that is durable
	stats    Stats
}

// Stats is how delegations are.
type Stats struct {
	Pools   []PoolStats
	Offered int // prefixes
	// Owing is how many softwires are to be given back.
	Owing int

	Granted, Extended, Released, Expired uint64 // since Load
	Clock                                clock.Fault
}

// PoolStats is how much of a pool is in use, in prefixes.
type PoolStats struct {
	Pool                   string
	Size, Bound, Remaining int // Remaining nobody has had
}

// Collections of the store.
const (
	delegations = "delegations"
	clockValues = "delegations-clock" // the latest time, as RFC 3339 text
	latestKey   = "latest"
)

// NewKeeper returns a Keeper on st. wall is the time of day, time.Now but in tests.
func NewKeeper(config Config, st Store, wall func() time.Time, log logrus.FieldLogger) *Keeper {
	return &Keeper{
		config: config, store: st, wall: wall, log: log,
		wake:     make(chan struct{}, 1),
		book:     NewBook(config.Pools, config.MaxOffers),
		busy:     make(map[string]chan struct{}),
		doubtful: make(map[key]struct{}),
	}
}

// Load takes in what the store has. It is called once, before everything else. The
// error wraps clock.ErrAhead, or is one of the store.
func (k *Keeper) Load(ctx context.Context) error {
	for v, err := range k.store.Values(ctx, clockValues) {
		if err != nil {
			return err
		}
		if err := k.saved.UnmarshalText(v.Data); err != nil {
			return fmt.Errorf("%w: the latest time: %w", store.ErrCorrupt, err)
		}
	}
	var err error
	if k.clock, err = clock.New(k.wall, k.saved, k.config.Clock); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for v, err := range k.store.Values(ctx, delegations) {
		if err != nil {
			return err
		}
		d, err := decode(v.Key, v.Data)
		if err != nil {
			return err
		}
		// What was promised after it was stored is within the horizon.
		d.Expires = d.Horizon
		k.book.Put(d)
	}
	return nil
}

// Now is the time that delegations go by.
func (k *Keeper) Now() time.Time { return k.clock.Now() }

// Offer returns the delegation that Session.Grant would make. It keeps the prefix
// for the client for a minute, and makes nothing durable. Errors are those of
// Book.Grant.
func (k *Keeper) Offer(q Query) (Delegation, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.book.Offer(q, k.clock.Now())
}

// Held returns what a client holds, ordered by IAID.
func (k *Keeper) Held(client string) []Delegation {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.book.Held(client)
}

// Get returns the delegation of a prefix.
func (k *Keeper) Get(prefix netip.Prefix) (Delegation, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.book.Get(prefix)
}

// All returns everything that is known, in no order: what is held, and who had it
// last.
func (k *Keeper) All() []Delegation {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]Delegation, 0, len(k.book.records))
	for _, r := range k.book.records {
		all = append(all, r.delegation())
	}
	return all
}

// Stats returns the present numbers.
func (k *Keeper) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	for _, st := range k.book.stocks {
		s.Pools = append(s.Pools, PoolStats{
			Pool: st.Name, Size: int(st.end), Bound: st.bound, Remaining: int(st.end-st.next) + len(st.free),
		})
	}
	s.Offered, s.Owing = k.book.offers.order.Len(), len(k.book.owing)
	s.Clock = k.clock.Fault()
	return s
}
