package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// mapSize is how much address space the file gets. As long as it fits, a backup
// that is being read does not keep the file from growing.
const mapSize = 1 << 32

// smallest is the size of a file in which nothing was put yet, with the smallest
// pages.
const smallest = 4 * 4096

// options are those of bbolt. The file that it opens goes to opened.
func options(opened **os.File, readOnly bool) *bbolt.Options {
	return &bbolt.Options{
		// Not to wait for who has the file open, but for who is about to end, or
		// has just been forked and is about to become another program.
		Timeout:  500 * time.Millisecond,
		ReadOnly: readOnly,
		// The list of free pages is made from the pages in use when the file is
		// opened, so it cannot be damaged, and is not written each time.
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapSize,
		NoStatistics:    true,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, perm)
			*opened = f
			return f, err
		},
	}
}

// createIfMissing makes a new file. It appears under its name when it is
// complete, so that an empty one was not made here.
func createIfMissing(path string, s schema) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return err
	}
	var opened *os.File
	db, err := bbolt.Open(f.Name(), 0o600, options(&opened, false))
	if err != nil {
		return err
	}
	if err := errors.Join(s.initialize(db), db.Close()); err != nil {
		return err
	}
	// Two processes that do this at once both find the first one's file.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(path)
}

// syncDir makes the name of a file durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openFile checks the file and opens it for writing.
func openFile(path string, s schema) (file, totals, error) {
	checked, err := check(path, s)
	if err != nil {
		return file{}, totals{}, err
	}
	f, err := openDB(path, false)
	if err != nil {
		return file{}, totals{}, err
	}
	if err := f.settle(); err != nil {
		return file{}, totals{}, errors.Join(err, f.db.Close())
	}
	if checked.schema != s.number() {
		if err := s.migrate(f.db); err != nil {
			return file{}, totals{}, errors.Join(err, f.db.Close())
		}
		if err := f.db.Close(); err != nil {
			return file{}, totals{}, err
		}
		return openFile(path, s)
	}
	return f, checked.totals, nil
}

// openDB opens a file that exists. The error wraps one of package store.
func openDB(path string, readOnly bool) (f file, err error) {
	defer func() {
		// bbolt panics on pages that do not make sense.
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", store.ErrCorrupt, r)
		}
		if err != nil && f.os != nil {
			// After an error bbolt has closed it already.
			_ = f.os.Close()
			f = file{}
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return file{}, err
	case !info.Mode().IsRegular():
		return file{}, fmt.Errorf("%w: it is no file", store.ErrForeign)
	case info.Size() == 0:
		return file{}, fmt.Errorf("%w: it is empty", store.ErrTruncated)
	}
	f.db, err = bbolt.Open(path, 0o600, options(&f.os, readOnly))
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return file{}, store.ErrLocked
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch):
		return file{}, fmt.Errorf("%w, or its beginning is damaged: %w", store.ErrForeign, err)
	case errors.Is(err, berrors.ErrChecksum):
		return file{}, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	case err != nil && info.Size() < smallest:
		return file{}, fmt.Errorf("%w: %w", store.ErrTruncated, err)
	case err != nil:
		return file{}, err
	}
	return f, nil
}
