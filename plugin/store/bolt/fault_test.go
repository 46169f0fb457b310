package bolt

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// fill makes every write to the file fail, as on a full disk, until free is
// called.
func fill(t *testing.T, s *Store) (free func()) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	fd := int(s.file.os.Fd())
	saved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(from int) {
		t.Helper()
		if err := unix.Dup3(from, fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
	swap(int(full.Fd()))
	return func() {
		t.Helper()
		swap(saved)
		if err := unix.Close(saved); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	want := filled(t, path)
	s := mustOpen(t, path)
	stop := run(t, s)
	free := fill(t, s)
	for range 3 {
		if err := s.Commit(t.Context(), store.Batch{Put: []lease.Lease{leaseOf(1000)}}); !errors.Is(err, store.ErrStorage) || !errors.Is(err, unix.ENOSPC) {
			t.Errorf("Commit: %v, want ErrStorage because of ENOSPC", err)
		}
	}
	if got := s.Stats(); got.Failures != 3 || got.Err == nil {
		t.Errorf("Stats: %+v, want 3 failures and why", got)
	}
	checkLeases(t, s, want)
	free()
	commit(t, s, store.Batch{Put: []lease.Lease{leaseOf(1001)}})
	want[leaseOf(1001).Key()] = leaseOf(1001)
	if got := s.Stats(); got.Err != nil || got.Leases != len(want) {
		t.Errorf("Stats: %+v, want %d leases and no error", got, len(want))
	}
	checkLeases(t, s, want)
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path)
	checkLeases(t, s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A transaction that failed after its last write may be in the file. It is gone
// when the next one begins.
func TestFailedIsTakenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	want := filled(t, path)
	s := mustOpen(t, path)
	write := func(b store.Batch) {
		t.Helper()
		r := newRequest(b)
		if err := s.write([]*request{r}); err != nil {
			t.Fatal(err)
		}
		if err := <-r.done; err != nil {
			t.Fatal(err)
		}
	}
	for n := uint16(300); n < 310; n++ {
		kept, lost := leaseOf(n), leaseOf(n+100)
		write(store.Batch{Put: []lease.Lease{kept}})
		want[kept.Key()] = kept
		write(store.Batch{Put: []lease.Lease{lost}, Delete: []softwire.Key{kept.Key()}, Events: [][]byte{[]byte("lost")}})
		if got := all(t, s); maps.Equal(got, want) {
			t.Error("the transaction that is to be taken back was not done")
		}
		// As if the fsync of its meta page had failed. It was the last one.
		tx, err := s.file.db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		s.failed = tx.ID()
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := s.mend(); err != nil {
			t.Fatal(err)
		}
		checkLeases(t, s, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path)
	checkLeases(t, s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Batches that wait share a transaction, and the one that is refused does not
// spoil the others.
func TestGroup(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "store"))
	var wait sync.WaitGroup
	const callers = 20
	for n := range uint16(callers) {
		b := store.Batch{Put: []lease.Lease{leaseOf(n)}}
		wantErr := error(nil)
		if n%4 == 0 {
			b.Conditions = []store.Condition{{Key: leaseOf(1).Key(), Holder: leaseOf(2).Subscriber}}
			wantErr = store.ErrConflict
		}
		wait.Go(func() {
			if err := s.Commit(t.Context(), b); !errors.Is(err, wantErr) {
				t.Errorf("Commit: %v, want %v", err, wantErr)
			}
		})
	}
	// All wait for Run.
	group := s.gather(<-s.queue)
	for len(group) < callers {
		group = append(group, s.gather(<-s.queue)...)
	}
	if err := s.write(group); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	got := s.Stats()
	if got.Transactions != 1 || got.Batches != 15 || got.Conflicts != 5 || got.LargestGroup != 15 || got.Leases != 15 {
		t.Errorf("Stats: %+v, want 15 batches and 5 conflicts in one transaction", got)
	}
	if got.Fsyncs < 2 || got.Fsyncs > 3 {
		t.Errorf("Stats: %d fsyncs, want 2, or 3 if the file grew", got.Fsyncs)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Events are handed out when they are durable, not when they can be read.
func TestEventsAreDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	filled(t, path)
	s := mustOpen(t, path)
	before, err := s.Events(t.Context(), 0, 100)
	if err != nil || len(before) != 4 {
		t.Fatalf("Events: %v, %v", before, err)
	}
	// As seen while the last fsync of a transaction has not returned.
	if o := s.transact([]*request{newRequest(store.Batch{Events: [][]byte{[]byte("early")}})}); o.err != nil {
		t.Fatal(o.err)
	}
	if got, err := s.Events(t.Context(), 0, 100); err != nil || len(got) != 4 {
		t.Errorf("Events: %v, %v, want the 4 durable ones", got, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
