package provision

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/provision/clock"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// What callers need of package lease.
type (
	// Lease is one port set with who holds it.
	Lease = lease.Lease
	// Request asks for a lease.
	Request = lease.Request
	// HeldError is the ErrMechanism that has the lease which the subscriber holds.
	HeldError = lease.HeldError
)

// Errors, for errors.Is.
var (
	ErrExhausted = lease.ErrExhausted
	ErrQuota     = lease.ErrQuota
	ErrMechanism = lease.ErrMechanism
	ErrPool      = lease.ErrPool
	ErrTaken     = lease.ErrTaken
	ErrUnknown   = lease.ErrUnknown
	ErrInvalid   = lease.ErrInvalid
	// ErrStorage: the lease could not be made durable, so nothing was granted. Try
	// again.
	ErrStorage = store.ErrStorage
	// ErrNotProgrammed: the change is decided, but not durable or not in the data
	// plane yet. It is being worked on; the same request gets the same answer.
	ErrNotProgrammed = errors.New("not programmed yet")
)

// Reconciler is what a Provisioner needs of package reconcile.
type Reconciler interface {
	Wait(ctx context.Context, keys ...softwire.Key) error
	Changed()
	Ready() <-chan struct{}
	Holds(sw softwire.Softwire) bool
}

// Store is what a Provisioner needs of package store.
type Store interface {
	Commit(ctx context.Context, batch store.Batch) error
	Stats() store.Stats
	loader
}

// Config is how a Provisioner works.
type Config struct {
	Clock clock.Limits
	// Retry is how long it waits before it tries again to end a lease.
	Retry time.Duration
	// Timeout is how long one such try lasts at most.
	Timeout time.Duration
}

// DefaultConfig suits all sizes.
func DefaultConfig() Config {
	return Config{Clock: clock.DefaultLimits(), Retry: time.Second, Timeout: 10 * time.Second}
}

// Provisioner grants and ends leases. Its methods may be called from any
// goroutine after Load.
type Provisioner struct {
	config  Config
	store   Store
	table   *softwire.Table
	program program
	dp      Reconciler
	log     logrus.FieldLogger
	book    *lease.Book
	wall    func() time.Time
	clock   *clock.Clock // set by Load

	wake chan struct{} // one place: Run has something to look at

	configuring sync.Mutex // one Configure at a time
	static      *softwire.Snapshot

	mu sync.Mutex // guards everything below; held while the book decides
	// busy has the port sets that somebody makes durable or programs, with a
	// channel that is closed at the end of it. Nobody else touches their leases.
	busy map[softwire.Key]chan struct{}
	// doubtful are decided, and perhaps not durable.
	doubtful map[softwire.Key]lease.Grant
	// unconfirmed are durable and in the table, and perhaps not in the data plane.
	unconfirmed map[softwire.Key]struct{}
	// ending are to be taken out of the data plane.
	ending map[softwire.Key]ending

	looks     time.Time // when Run looks for what has expired
	saved     time.Time // of the clock, that is durable
	watches   map[*Watch]struct{}
	totals    Totals
	requests  [len(mechanisms) + 1]requests // the last is for all other mechanisms
	exhausted exhaustion
}

// New returns a Provisioner that grants leases out of st by way of table, whose
// content rec makes programmed. wall is the time of day, time.Now but in tests.
// It does nothing before Load.
func New(config Config, st Store, table *softwire.Table, rec Reconciler, wall func() time.Time, log logrus.FieldLogger) *Provisioner {
	return &Provisioner{
		config: config, store: st, table: table, program: program{table: table}, dp: rec, wall: wall, log: log,
		book: lease.NewBook(),
		wake: make(chan struct{}, 1), static: softwire.NewTable().Snapshot(),
		busy:        make(map[softwire.Key]chan struct{}),
		doubtful:    make(map[softwire.Key]lease.Grant),
		unconfirmed: make(map[softwire.Key]struct{}),
		ending:      make(map[softwire.Key]ending),
		watches:     make(map[*Watch]struct{}),
	}
}

// Lease returns the lease of a port set.
func (p *Provisioner) Lease(key softwire.Key) (Lease, bool) { return p.book.Get(key) }

// Subscriber returns all leases of the subscriber with that IPv6 address, also
// those that it had last and that rest.
func (p *Provisioner) Subscriber(addr netip.Addr) []Lease { return p.book.Subscriber(addr) }

// BRs lists the BR addresses that leases and softwires of the configuration use,
// each once.
func (p *Provisioner) BRs() []netip.Addr { return p.book.BRs() }

// All yields all leases, see lease.Book.
func (p *Provisioner) All() iter.Seq[Lease] { return p.book.All() }

// List returns the n leases with the least keys behind after that match, see
// lease.Book.
func (p *Provisioner) List(after softwire.Key, n int, match func(Lease) bool) []Lease {
	return p.book.List(after, n, match)
}

// occupy makes a port set busy. The lock is held, and it is not busy yet.
func (p *Provisioner) occupy(keys ...softwire.Key) {
	done := make(chan struct{})
	for _, k := range keys {
		p.busy[k] = done
	}
}

// vacate ends what occupy began for the same keys.
func (p *Provisioner) vacate(keys ...softwire.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.busy[keys[0]]
	for _, k := range keys {
		delete(p.busy, k)
	}
	close(done)
	if len(p.ending) > 0 {
		p.nudge() // Run left out what was busy
	}
}

// lockIdle takes the lock when a port set is not busy. The error is that of await,
// and then the lock is not held.
func (p *Provisioner) lockIdle(ctx context.Context, key softwire.Key) error {
	for {
		p.mu.Lock()
		done, busy := p.busy[key]
		if !busy {
			return nil
		}
		p.mu.Unlock()
		if err := await(ctx, done); err != nil {
			return err
		}
	}
}

// await waits for the end of what makes a port set busy, or of ctx.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotProgrammed, ctx.Err())
	}
}

// nudge makes Run look again.
func (p *Provisioner) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
