package disk

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
)

// sector is what a disk writes wholly or not at all.
const sector = 512

// file is what is known of one file: what survives a loss of power, and what was
// written since.
type file struct {
	sectors map[int64][]byte
	size    int64
	pending []change
}

// change is a write, or a new size.
type change struct {
	offset int64
	data   []byte
	size   int64 // if data is nil
}

// load takes what is in a file as synced.
func load(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	known := &file{sectors: make(map[int64][]byte)}
	known.apply(change{data: all})
	return known, nil
}

// apply puts a change on the disk.
func (f *file) apply(c change) {
	if c.data == nil {
		f.size = c.size
		maps.DeleteFunc(f.sectors, func(n int64, _ []byte) bool { return n*sector >= c.size })
		return
	}
	f.size = max(f.size, c.offset+int64(len(c.data)))
	for data, at := c.data, c.offset; len(data) > 0; {
		n := min(int64(len(data)), sector-at%sector)
		s := f.sectors[at/sector]
		if s == nil {
			s = make([]byte, sector)
			f.sectors[at/sector] = s
		}
		copy(s[at%sector:], data[:n])
		data, at = data[n:], at+n
	}
}

// sync puts everything on the disk.
func (f *file) sync() {
	for _, c := range f.pending {
		f.apply(c)
	}
	f.pending = nil
}

// lose puts any part of what is pending on the disk, and forgets the rest. It
// takes no sector apart.
func (f *file) lose(r *rand.Rand) {
	// Nothing, all, or each sector by chance: the first two are what happens most.
	some := r.IntN(3)
	for _, c := range f.pending {
		if c.data == nil {
			if some > 0 {
				f.apply(c)
			}
			continue
		}
		for data, at := c.data, c.offset; len(data) > 0; {
			n := min(int64(len(data)), sector-at%sector)
			if some == 1 || some == 2 && r.IntN(2) == 0 {
				f.apply(change{offset: at, data: data[:n]})
			}
			data, at = data[n:], at+n
		}
	}
	f.pending = nil
}

// store makes the file at path what is on the disk.
func (f *file) store(path string) error {
	// The same file, so that whoever has it open sees it too.
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	err = out.Truncate(f.size)
	for n, data := range f.sectors {
		if bytes.Equal(data, make([]byte, sector)) {
			continue // as the file is there
		}
		end := min(sector, f.size-n*sector)
		_, writeErr := out.WriteAt(data[:end], n*sector)
		err = errors.Join(err, writeErr)
	}
	return errors.Join(err, out.Close())
}
