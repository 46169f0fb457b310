package bolt

import (
	"errors"
	"fmt"
)

// errBusy is why a failed transaction cannot be struck out for now: a
// caller waits for readers, but not for one that takes minutes.
var errBusy = errors.New("a backup is being read")

// mend strikes out the transaction that failed, if there is one, and opens the
// file anew.
//
// A transaction is in the file from the moment when its meta page is. bbolt
// writes these to the first two pages in turn, so without the failed one's page
// the file is as before: the pages of the last transaction are not reused before
// the next one.
func (s *Store) mend() error {
	if s.failed == 0 {
		return nil
	}
	if s.backups.Load() > 0 {
		return errBusy
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file.db != nil {
		if err := s.file.strike(s.failed); err != nil {
			return fmt.Errorf("take back a transaction that failed: %w", err)
		}
		if err := s.file.db.Close(); err != nil {
			return err
		}
		s.file = file{}
	}
	f, _, err := openFile(s.path, s.schema)
	if err != nil {
		return err
	}
	s.file, s.failed = f, 0
	return nil
}

// strike makes the meta page of a transaction invalid, durably.
func (f file) strike(transaction int) error {
	size := f.db.Info().PageSize
	if _, err := f.os.WriteAt(make([]byte, size), int64(transaction%2)*int64(size)); err != nil {
		return err
	}
	return f.os.Sync()
}

// settle writes the meta pages once more, as they are. An earlier process may
// have died after it could not sync one: the kernel then has that page, the disk
// does not, and no other fsync brings it there. The pages that a meta page leads
// to were synced before it was written.
func (f file) settle() error {
	b := make([]byte, metaPages*f.db.Info().PageSize)
	if _, err := f.os.ReadAt(b, 0); err != nil {
		return err
	}
	if _, err := f.os.WriteAt(b, 0); err != nil {
		return err
	}
	return f.os.Sync()
}
