package bolt

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lwaftr/lw4o6/plugin/histogram"
	"github.com/lwaftr/lw4o6/plugin/store"
)

var _ store.Store = (*Store)(nil)

// Store is a store in one file.
type Store struct {
	path   string
	schema schema

	queue chan *request
	ended chan struct{} // closed when Run has returned

	// mu is held for writing where file changes, and for reading where it is
	// used.
	mu   sync.RWMutex
	file file
	// backups is how many are being read.
	backups atomic.Int32

	// failed is the transaction that may be in the file although it failed, 0 if
	// there is none. Only Run uses it.
	failed int

	writes histogram.Histogram

	statsMu sync.Mutex // guards what follows
	stats   store.Stats
	last    uint64        // sequence number of an event that is durable
	arrived chan struct{} // closed, and replaced, when events come
}

// file is the open file.
type file struct {
	db *bbolt.DB
	// os is the file that db uses.
	os *os.File
}

// Open opens the store at path, and creates it if there is no file. It reads all
// of it. The error wraps store.ErrLocked, ErrForeign, ErrSchema, ErrTruncated or
// ErrCorrupt, and the file is as it was; or it is one of the operating system.
// The caller calls Close after Run has returned.
func Open(path string) (*Store, error) { return open(path, present()) }

func open(path string, s schema) (*Store, error) {
	if err := createIfMissing(path, s); err != nil {
		return nil, fmt.Errorf("create store %s: %w", path, err)
	}
	f, t, err := openFile(path, s)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	opened := &Store{
		path:    path,
		schema:  s,
		queue:   make(chan *request),
		ended:   make(chan struct{}),
		file:    f,
		arrived: make(chan struct{}),
	}
	opened.last = t.last
	opened.stats.Leases, opened.stats.Outbox = int(t.counts[leases]), int(t.counts[outbox])
	return opened, nil
}

// Close gives the file back.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file.db == nil {
		return nil
	}
	err := s.file.db.Close()
	s.file = file{}
	return err
}

// Commit has batch written by Run.
func (s *Store) Commit(ctx context.Context, batch store.Batch) error {
	if err := batch.Validate(); err != nil {
		return err
	}
	return s.submit(ctx, newRequest(batch))
}

// Drop has the events forgotten by Run.
func (s *Store) Drop(ctx context.Context, upTo uint64) error {
	return s.submit(ctx, &request{drop: upTo, done: make(chan error, 1)})
}

func (s *Store) submit(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return store.ErrClosed
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-r.done:
		return err
	default:
		return fmt.Errorf("%w: %w", store.ErrInDoubt, ctx.Err())
	}
}

// Stats tells what was done and how the store is.
func (s *Store) Stats() store.Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	stats := s.stats
	stats.WriteTimes = s.writes.Read()
	return stats
}

// count takes the outcome of a transaction of a group into the statistics.
func (s *Store) count(o outcome, took time.Duration) {
	s.writes.Observe(took)
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	s.stats.LongestWrite = max(s.stats.LongestWrite, took)
	s.stats.Err = o.err
	if o.err != nil {
		s.stats.Failures++
		return
	}
	s.stats.Batches += uint64(o.batches)
	s.stats.Conflicts += uint64(o.conflicts)
	s.stats.LargestGroup = max(s.stats.LargestGroup, o.batches)
	s.stats.Fsyncs += uint64(o.fsyncs)
	if o.fsyncs > 0 {
		s.stats.Transactions++
	}
	s.stats.Leases, s.stats.Outbox = int(o.totals.counts[leases]), int(o.totals.counts[outbox])
	s.last = o.totals.last
	if o.events {
		close(s.arrived)
		s.arrived = make(chan struct{})
	}
}
