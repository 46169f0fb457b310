package history

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is the folder of a history.
type disk interface {
	// create makes a file, or empties the one that is there.
	create(name string) (file, error)
	open(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	list() ([]string, error)
	// sync makes durable which files there are.
	sync() error
}

// file is one that is open for reading, and for writing by the writer of the
// history.
type file interface {
	io.Writer
	io.WriterAt
	io.ReaderAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
}

// ErrLocked reports a history that another process writes.
var ErrLocked = errors.New("another process has it open for writing; is the router running?")

// folder is a disk that is a folder of the machine.
type folder struct {
	path string
	flag int // os.O_RDWR for the writer, os.O_RDONLY for others
}

// osFile is an *os.File that knows its size.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d folder) openFile(name string, flag int) (file, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), flag, 0o640)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d folder) create(name string) (file, error) {
	return d.openFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (d folder) open(name string) (file, error) { return d.openFile(name, d.flag) }

func (d folder) rename(from, to string) error {
	return os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

func (d folder) remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

func (d folder) list() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (d folder) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lock keeps other writers out until what it returns is closed. The error wraps
// ErrLocked.
func (d folder) lock() (io.Closer, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("history %s: %w", d.path, err), f.Close())
	}
	return f, nil
}

// readFile reads a whole file, at most most bytes.
func readFile(d disk, name string, most int64) (_ []byte, err error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > most {
		return nil, fmt.Errorf("%s: %w: %d bytes; at most %d are expected", name, ErrCorrupt, size, most)
	}
	b := make([]byte, size)
	// A file that grows is read as far as it was; one that another process cuts
	// at the same time is shorter.
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}
