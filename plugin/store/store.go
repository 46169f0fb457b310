package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/lwaftr/lw4o6/plugin/histogram"
	"github.com/lwaftr/lw4o6/plugin/lease"
)

// Errors of a Store, for errors.Is.
var (
	// ErrBatch: a Batch that no store takes. It is a fault of the caller.
	ErrBatch = errors.New("unusable batch")
	// ErrConflict: a Condition of the Batch does not hold. Nothing of the batch
	// was done.
	ErrConflict = errors.New("the store holds something else")
	// ErrStorage: the batch could not be made durable, and is not there. Another
	// commit may succeed once the cause is mended. If the process dies before one
	// does, the batch may nevertheless be there afterwards.
	ErrStorage = errors.New("not stored")
	// ErrInDoubt: the context ended while the batch was being written. It may or
	// may not become durable.
	ErrInDoubt = errors.New("the outcome of the commit is not known")
	// ErrClosed: the store does not run any more.
	ErrClosed = errors.New("the store is closed")

	// ErrLocked: another process has the store open. Stop that one first.
	ErrLocked = errors.New("the store is in use by another process")
	// ErrForeign: the file is not a store. Check the path.
	ErrForeign = errors.New("not a store of this program")
	// ErrSchema: a newer version of the program wrote the store. Use that
	// version, or restore a backup.
	ErrSchema = errors.New("the store is of a newer version of this program")
	// ErrTruncated: the end of the file is missing. Restore a backup.
	ErrTruncated = errors.New("the store is cut short")
	// ErrCorrupt: the content is not what was written. Restore a backup.
	ErrCorrupt = errors.New("the store is damaged")
)

// Store keeps things durable. Its methods may be called from several
// goroutines.
type Store interface {
	// Run writes what is committed until ctx ends, and then returns nil. An error
	// means that the store cannot go on. Commit waits for Run to be called, and
	// fails with ErrClosed after it returned.
	Run(ctx context.Context) error
	// Commit returns nil when everything in batch is durable. Many callers share
	// the cost of that. The error wraps ErrBatch, ErrConflict, ErrStorage,
	// ErrInDoubt or ErrClosed; or it is that of ctx alone, and then nothing of the
	// batch was done. The caller may use batch again, but not change it before a
	// commit in doubt has surely ended.
	Commit(ctx context.Context, batch Batch) error

	// Leases yields all leases, each key once, in no particular order. It ends
	// after the first error. What is committed meanwhile may or may not show, also
	// before it is durable.
	Leases(ctx context.Context) iter.Seq2[lease.Lease, error]
	// Values yields the values of one collection in the order of their keys, like
	// Leases. The caller may keep them.
	Values(ctx context.Context, collection string) iter.Seq2[Value, error]

	Outbox
	Stats() Stats
}

// Outbox hands out the events of durable batches in the order of their commits.
type Outbox interface {
	// Events returns up to limit events that come after the one with the number
	// after, in order. It waits for the first one.
	Events(ctx context.Context, after uint64, limit int) ([]Event, error)
	// Drop forgets the events up to and including the number upTo. The errors are
	// those of Commit.
	Drop(ctx context.Context, upTo uint64) error
}

// Event is one of the Events of a durable Batch.
type Event struct {
	// Sequence numbers events from 1; later ones have higher numbers, also after
	// the store was restored from a backup.
	Sequence uint64
	Data     []byte
}

// Stats is what a store has done since it was opened, and how it is.
type Stats struct {
	Leases int // as of the last transaction
	Outbox int // events that wait

	Batches      uint64 // made durable
	Transactions uint64 // that made them durable
	Fsyncs       uint64 // of these transactions
	Conflicts    uint64 // batches refused with ErrConflict
	Failures     uint64 // transactions that failed
	LargestGroup int    // most batches of one transaction

	// WriteTimes is how long transactions took, failed ones included, and
	// LongestWrite the one that took longest.
	WriteTimes   histogram.Reading
	LongestWrite time.Duration
	// Err is why the last transaction failed; nil if it did not.
	Err error
}
