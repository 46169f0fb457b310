package memory

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

var _ store.Store = (*Store)(nil)

// Store is a store in memory.
type Store struct {
	// OnCommit, if set, is called before a valid batch is done. It may block. With
	// an error the batch is not done, and Commit returns the error; a failing disk
	// is a store.ErrStorage. It is set before the first use, and must be safe for
	// concurrent use.
	OnCommit func(ctx context.Context, batch store.Batch) error

	running, ended chan struct{}

	mu      sync.Mutex
	content content
	arrived chan struct{} // closed, and replaced, when events come
	stats   store.Stats
}

// content is what another kind of store would have in its file.
type content struct {
	leases map[softwire.Key]lease.Lease
	values map[valueKey][]byte
	events []store.Event
	last   uint64 // sequence number given out
}

type valueKey struct{ collection, key string }

// New returns an empty store.
func New() *Store {
	return with(content{leases: make(map[softwire.Key]lease.Lease), values: make(map[valueKey][]byte)})
}

func with(c content) *Store {
	return &Store{
		running: make(chan struct{}),
		ended:   make(chan struct{}),
		content: c,
		arrived: make(chan struct{}),
	}
}

// Restart returns a new store with what s has now, like one that is opened after
// the process of s died. s goes on and shares nothing with it.
func (s *Store) Restart() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return with(content{
		leases: maps.Clone(s.content.leases),
		values: maps.Clone(s.content.values),
		events: slices.Clone(s.content.events),
		last:   s.content.last,
	})
}

// Run lets commits through until ctx ends. It is called once.
func (s *Store) Run(ctx context.Context) error {
	close(s.running)
	<-ctx.Done()
	close(s.ended)
	return nil
}

// Commit does batch.
func (s *Store) Commit(ctx context.Context, batch store.Batch) error {
	if err := batch.Validate(); err != nil {
		return err
	}
	if err := s.await(ctx); err != nil {
		return err
	}
	if s.OnCommit != nil {
		if err := s.OnCommit(ctx, batch); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stats.Failures++
			s.stats.Err = err
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range batch.Conditions {
		held, found := s.content.leases[c.Key]
		if err := c.Check(held.Subscriber, found); err != nil {
			s.stats.Conflicts++
			return err
		}
	}
	s.content.do(batch)
	s.stats.Batches++
	s.stats.Transactions++
	s.stats.LargestGroup = 1
	s.stats.Err = nil
	if len(batch.Events) > 0 {
		close(s.arrived)
		s.arrived = make(chan struct{})
	}
	return nil
}

// await waits until Run runs.
func (s *Store) await(ctx context.Context) error {
	select {
	case <-s.running:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.ended:
		return store.ErrClosed
	default:
		return nil
	}
}

func (c *content) do(batch store.Batch) {
	for _, l := range batch.Put {
		c.leases[l.Key()] = l
	}
	for _, k := range batch.Delete {
		delete(c.leases, k)
	}
	for _, v := range batch.Values {
		at := valueKey{v.Collection, v.Key}
		if v.Data == nil {
			delete(c.values, at)
			continue
		}
		c.values[at] = bytes.Clone(v.Data)
	}
	for _, e := range batch.Events {
		c.last++
		c.events = append(c.events, store.Event{Sequence: c.last, Data: bytes.Clone(e)})
	}
}

// Leases yields all leases.
func (s *Store) Leases(ctx context.Context) iter.Seq2[lease.Lease, error] {
	s.mu.Lock()
	leases := slices.Collect(maps.Values(s.content.leases))
	s.mu.Unlock()
	return func(yield func(lease.Lease, error) bool) {
		for _, l := range leases {
			if err := ctx.Err(); err != nil {
				yield(lease.Lease{}, err)
				return
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}

// Values yields the values of one collection.
func (s *Store) Values(ctx context.Context, collection string) iter.Seq2[store.Value, error] {
	s.mu.Lock()
	var values []store.Value
	for at, data := range s.content.values {
		if at.collection == collection {
			values = append(values, store.Value{Collection: collection, Key: at.key, Data: bytes.Clone(data)})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(values, func(a, b store.Value) int { return strings.Compare(a.Key, b.Key) })
	return func(yield func(store.Value, error) bool) {
		for _, v := range values {
			if err := ctx.Err(); err != nil {
				yield(store.Value{}, err)
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// Events returns events that wait.
func (s *Store) Events(ctx context.Context, after uint64, limit int) ([]store.Event, error) {
	for {
		s.mu.Lock()
		first, _ := slices.BinarySearchFunc(s.content.events, after+1, bySequence)
		events := slices.Clone(s.content.events[first:])
		arrived := s.arrived
		s.mu.Unlock()
		if len(events) > 0 {
			return events[:min(limit, len(events))], nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Drop forgets events.
func (s *Store) Drop(ctx context.Context, upTo uint64) error {
	if err := s.await(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, _ := slices.BinarySearchFunc(s.content.events, upTo+1, bySequence)
	s.content.events = slices.Clone(s.content.events[kept:])
	return nil
}

// bySequence orders an event against a number.
func bySequence(e store.Event, sequence uint64) int { return cmp.Compare(e.Sequence, sequence) }

// Stats tells what is there.
func (s *Store) Stats() store.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Leases, stats.Outbox = len(s.content.leases), len(s.content.events)
	return stats
}
