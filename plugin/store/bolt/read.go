package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// chunk is how many records are read at once, so that who reads slowly keeps
// nobody from writing.
const chunk = 1024

// Leases yields all leases in the order of their keys.
func (s *Store) Leases(ctx context.Context) iter.Seq2[lease.Lease, error] {
	return func(yield func(lease.Lease, error) bool) {
		var d store.Decoder
		found := make([]lease.Lease, 0, chunk)
		for from := []byte{}; from != nil; {
			found = found[:0]
			var err error
			from, err = s.scan(ctx, leases, from, nil, chunk, func(key, record []byte) error {
				l, err := d.Lease(key, record)
				found = append(found, l)
				return err
			})
			if err != nil {
				yield(lease.Lease{}, err)
				return
			}
			for _, l := range found {
				if !yield(l, nil) {
					return
				}
			}
		}
	}
}

// Values yields the values of one collection.
func (s *Store) Values(ctx context.Context, collection string) iter.Seq2[store.Value, error] {
	return func(yield func(store.Value, error) bool) {
		prefix := valueKey(collection, "")
		var found []store.Value
		for from := prefix; from != nil; {
			found = found[:0]
			var err error
			from, err = s.scan(ctx, values, from, prefix, chunk, func(key, record []byte) error {
				found = append(found, store.Value{Collection: collection, Key: string(key[len(prefix):]), Data: bytes.Clone(record)})
				return nil
			})
			if err != nil {
				yield(store.Value{}, err)
				return
			}
			for _, v := range found {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// Events returns events of the outbox, or waits for one.
func (s *Store) Events(ctx context.Context, after uint64, limit int) ([]store.Event, error) {
	for {
		s.statsMu.Lock()
		arrived, last := s.arrived, s.last
		s.statsMu.Unlock()
		var found []store.Event
		from := binary.BigEndian.AppendUint64(nil, after+1)
		_, err := s.scan(ctx, outbox, from, nil, limit, func(key, record []byte) error {
			// What is being committed can be seen before it is durable, and if it
			// never is, its number is given to another event.
			if n := binary.BigEndian.Uint64(key); n <= last {
				found = append(found, store.Event{Sequence: n, Data: bytes.Clone(record)})
			}
			return nil
		})
		if err != nil || len(found) > 0 {
			return found, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// scan calls each for up to limit records of a table whose keys begin with
// prefix, from the key from on, and returns the key to go on from, nil at the
// end. What each is given belongs to the transaction.
func (s *Store) scan(ctx context.Context, t table, from, prefix []byte, limit int, each func(key, record []byte) error) (next []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.view(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(t.name()).Cursor()
		n := 0
		for key, sealed := cursor.Seek(from); key != nil && bytes.HasPrefix(key, prefix); key, sealed = cursor.Next() {
			if n++; n > limit {
				next = bytes.Clone(key)
				return nil
			}
			record, _, err := unseal(t, key, sealed)
			if err != nil {
				return err
			}
			if err := each(key, record); err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}

// view reads in one transaction.
func (s *Store) view(read func(tx *bbolt.Tx) error) (err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.file.db == nil {
		return fmt.Errorf("read store %s: %w", s.path, store.ErrClosed)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("read store %s: %w: %v", s.path, store.ErrCorrupt, r)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return s.file.db.View(read)
}
