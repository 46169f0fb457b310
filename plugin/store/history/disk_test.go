package history

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

// fakeDisk is a disk in memory that can fail and lose power.
type fakeDisk struct {
	mu      sync.Mutex
	files   map[string]*fakeFile
	durable map[string]*fakeFile // as of the last sync
	fails   int                  // how many writes succeed before one fails; negative for all
	failed  int
	full    bool // no new files
}

// fakeFile has the content that is there, and what of it is durable.
type fakeFile struct {
	disk          *fakeDisk
	data, durable []byte
}

var errDisk = errors.New("input/output error")

func newFakeDisk() *fakeDisk {
	return &fakeDisk{files: make(map[string]*fakeFile), durable: make(map[string]*fakeFile), fails: -1}
}

// write is asked before everything that changes something.
func (d *fakeDisk) write() error {
	if d.fails--; d.fails == -1 {
		d.failed++
		return errDisk
	}
	return nil
}

func (d *fakeDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(); err != nil || d.full {
		return nil, errDisk
	}
	f := &fakeFile{disk: d}
	if old := d.files[name]; old != nil {
		f = old
		f.data = nil
	}
	d.files[name] = f
	return f, nil
}

func (d *fakeDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[name]; f != nil {
		return f, nil
	}
	return nil, os.ErrNotExist
}

func (d *fakeDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(); err != nil {
		return err
	}
	d.files[to] = d.files[from]
	delete(d.files, from)
	return nil
}

func (d *fakeDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(); err != nil {
		return err
	}
	if d.files[name] == nil {
		return os.ErrNotExist
	}
	delete(d.files, name)
	return nil
}

func (d *fakeDisk) list() (names []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.files {
		names = append(names, name)
	}
	return names, nil
}

func (d *fakeDisk) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(); err != nil {
		return err
	}
	d.durable = make(map[string]*fakeFile)
	for name, f := range d.files {
		d.durable[name] = f
	}
	return nil
}

// crash loses power: of what was not synced, some is there and some is not.
func (d *fakeDisk) crash(r *rand.Rand) *fakeDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := newFakeDisk()
	put := func(name string, f *fakeFile) {
		if f == nil {
			return
		}
		b := f.durable
		if rest := len(f.data) - len(f.durable); rest > 0 && slices.Equal(f.data[:len(f.durable)], f.durable) {
			b = slices.Clone(f.data[:len(f.durable)+r.IntN(rest+1)])
			if torn := b[len(f.durable):]; len(torn) > 0 && r.IntN(3) == 0 {
				torn[r.IntN(len(torn))] ^= 0x55
			}
		} else if r.IntN(2) == 0 {
			b = f.data
		}
		next.files[name] = &fakeFile{disk: next, data: slices.Clone(b), durable: slices.Clone(b)}
	}
	names := make(map[string]bool)
	for name := range d.files {
		names[name] = true
	}
	for name := range d.durable {
		names[name] = true
	}
	for name := range names {
		if r.IntN(2) == 0 {
			put(name, d.files[name])
		} else {
			put(name, d.durable[name])
		}
	}
	for name, f := range next.files {
		next.durable[name] = f
	}
	return next
}

func (f *fakeFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.writeAt(b, len(f.data))
}

func (f *fakeFile) WriteAt(b []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.writeAt(b, int(offset))
}

// writeAt writes a half if it fails.
func (f *fakeFile) writeAt(b []byte, offset int) (int, error) {
	err := f.disk.write()
	if err != nil {
		b = b[:len(b)/2]
	}
	kept := slices.Clone(f.data[:min(offset, len(f.data))])
	rest := f.data[min(offset+len(b), len(f.data)):]
	f.data = append(append(kept, b...), rest...)
	return len(b), err
}

func (f *fakeFile) ReadAt(b []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := copy(b, f.data[min(int(offset), len(f.data)):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *fakeFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.write(); err != nil {
		return err
	}
	f.data = slices.Clone(f.data[:min(int(size), len(f.data))])
	return nil
}

func (f *fakeFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.write(); err != nil {
		return err
	}
	f.durable = slices.Clone(f.data)
	return nil
}

func (f *fakeFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *fakeFile) Close() error { return nil }
