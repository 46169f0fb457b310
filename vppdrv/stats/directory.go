package stats

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The kinds of directory entries that are read. VPP 26.02 made the scalars that
// are no times gauges; their value stands in the same place.
const (
	kindScalar   = 1
	kindSimple   = 2 // counters of one word
	kindCombined = 3 // counters of packets and octets
	kindSymlink  = 6 // one counter of another entry
	kindGauge    = 9
)

// The directory is a vector of entries: a kind in four octets, four unused, a
// value in eight, and a name that ends with a zero.
const (
	entrySize = 144
	valueAt   = 8
	nameAt    = 16
)

// entry is where to find what has a name.
type entry struct {
	kind  uint32
	value uint64 // itself, a pointer, or of a symlink two indexes
}

// directory is what VPP counts.
type directory struct {
	*segment
	raw   []byte
	names map[string]entry    // those that are wanted
	sums  map[uint64][]uint64 // of the entries that symlinks led to, by index
}

// open reads the directory and keeps the names that are wanted.
func (s *segment) open(wanted map[string]bool) (*directory, error) {
	raw, err := s.vector(s.directory, entrySize)
	if err != nil {
		return nil, err
	}
	d := &directory{segment: s, raw: raw, names: make(map[string]entry), sums: make(map[uint64][]uint64)}
	for i := range uint64(len(raw) / entrySize) {
		name := raw[i*entrySize+nameAt : (i+1)*entrySize]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if wanted[string(name)] {
			d.names[string(name)] = d.at(i)
		}
	}
	return d, nil
}

// at is the entry with an index below the number of entries.
func (d *directory) at(index uint64) entry {
	b := d.raw[index*entrySize:]
	return entry{binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint64(b[valueAt:])}
}

// scalar is the value of an entry; zero if VPP has none of that name.
func (d *directory) scalar(name string) (uint64, error) {
	e, ok := d.names[name]
	switch {
	case !ok:
		return 0, nil
	case e.kind == kindScalar || e.kind == kindGauge:
		return e.value, nil
	}
	return 0, unexpected(name, e)
}

// simple are the counters of an entry, added up over the threads; none if VPP
// has none of that name, which it often adds only when there is something to
// count.
func (d *directory) simple(name string) ([]uint64, error) {
	return d.vectors(name, kindSimple, 1)
}

// combined are the counters of packets and octets of an entry, in turns.
func (d *directory) combined(name string) ([]uint64, error) {
	return d.vectors(name, kindCombined, 2)
}

func (d *directory) vectors(name string, kind uint32, words uint64) ([]uint64, error) {
	e, ok := d.names[name]
	if !ok {
		return nil, nil
	}
	if e.kind != kind {
		return nil, unexpected(name, e)
	}
	sums, err := d.segment.sums(e.value, words)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return sums, nil
}

// counter is the counter that a symlink leads to, added up over the threads;
// zero if VPP has none of that name.
func (d *directory) counter(name string) (uint64, error) {
	e, ok := d.names[name]
	if !ok {
		return 0, nil
	}
	if e.kind != kindSymlink {
		return 0, unexpected(name, e)
	}
	index, column := e.halves()
	sums, read := d.sums[index]
	if !read {
		if index >= uint64(len(d.raw)/entrySize) || d.at(index).kind != kindSimple {
			return 0, fmt.Errorf("%w: %s leads nowhere", ErrSegment, name)
		}
		var err error
		if sums, err = d.segment.sums(d.at(index).value, 1); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		d.sums[index] = sums
	}
	if column >= uint64(len(sums)) {
		return 0, fmt.Errorf("%w: %s leads nowhere", ErrSegment, name)
	}
	return sums[column], nil
}

// halves are the two indexes of a symlink, in the order of memory: those of the
// entry and of the counter.
func (e entry) halves() (index, column uint64) {
	var b [word]byte
	binary.NativeEndian.PutUint64(b[:], e.value)
	return uint64(binary.NativeEndian.Uint32(b[:])), uint64(binary.NativeEndian.Uint32(b[word/2:]))
}

func unexpected(name string, e entry) error {
	return fmt.Errorf("%w: %s is of kind %d", ErrSegment, name, e.kind)
}
