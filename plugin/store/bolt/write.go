package bolt

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// maxGroup bounds the work of one transaction, and so how long a caller waits.
const maxGroup = 1 << 14

// Run writes what is committed until ctx ends. It is called once. The error
// wraps store.ErrCorrupt.
func (s *Store) Run(ctx context.Context) error {
	defer close(s.ended)
	// The file is mapped, so that reading a bad block is a fault of memory.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-s.queue:
			if err := s.write(s.gather(first)); err != nil {
				return err
			}
		}
	}
}

// gather takes what waits behind first.
func (s *Store) gather(first *request) []*request {
	group := []*request{first}
	size := first.size()
	for yielded := false; size < maxGroup; {
		select {
		case r := <-s.queue:
			group = append(group, r)
			size += r.size()
			yielded = false
			continue
		default:
		}
		if yielded {
			break
		}
		// Callers that were answered just now may be about to ask again.
		yielded = true
		runtime.Gosched()
	}
	return group
}

// outcome is what became of a group.
type outcome struct {
	err                error // of all
	refused            []error
	batches, conflicts int
	fsyncs             int
	events             bool
	totals             totals
}

// write makes a group durable and answers its callers. An error means that the
// store cannot go on.
func (s *Store) write(group []*request) (fatal error) {
	began := time.Now()
	var o outcome
	func() {
		defer func() {
			if r := recover(); r != nil {
				fatal = fmt.Errorf("write to store %s: %w: %v", s.path, store.ErrCorrupt, r)
				o = outcome{err: fmt.Errorf("%w: %w", store.ErrStorage, fatal)}
			}
		}()
		o = s.transact(group)
	}()
	s.count(o, time.Since(began))
	for i, r := range group {
		switch {
		case o.err != nil:
			r.done <- o.err
		default:
			r.done <- o.refused[i]
		}
	}
	return fatal
}

// transact does a group in one transaction.
func (s *Store) transact(group []*request) outcome {
	fail := func(err error) outcome {
		return outcome{err: fmt.Errorf("%w: %w; look at the disk of %s", store.ErrStorage, err, s.path)}
	}
	if err := s.mend(); err != nil {
		return fail(err)
	}
	tx, err := s.file.db.Begin(true)
	if err != nil {
		return fail(err)
	}
	// After Commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	c, err := contentOf(tx)
	if err != nil {
		return fail(err)
	}
	o := outcome{refused: make([]error, len(group))}
	for i, r := range group {
		refused, err := r.do(c)
		switch {
		case err != nil:
			return fail(err)
		case refused != nil:
			o.refused[i] = refused
			o.conflicts++
			continue
		}
		o.batches++
		o.events = o.events || len(r.events) > 0
	}
	o.totals = c.totals
	if o.batches == 0 {
		return o
	}
	if err := c.finish(); err != nil {
		return fail(err)
	}
	o.fsyncs, err = s.commit(tx)
	if err != nil {
		return fail(err)
	}
	return o
}

// commit commits tx and says how many fsyncs that took.
func (s *Store) commit(tx *bbolt.Tx) (fsyncs int, err error) {
	before, err := s.file.os.Stat()
	if err != nil {
		return 0, err
	}
	s.failed = tx.ID()
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	s.failed = 0
	after, err := s.file.os.Stat()
	if err == nil && after.Size() != before.Size() {
		return 3, nil // the new size, the pages, the root
	}
	return 2, nil
}
