package stats

import (
	"encoding/binary"
	"fmt"
	"io"
)

// layout is the version of VPP's memory layout that is understood, that of
// every VPP since 22.06.
const layout = 2

// headerSize is that of the header that the memory begins with, in octets.
const headerSize = 5 * word

// word is the size of a counter and of a pointer, in octets.
const word = 8

// The limits of what is read.
const (
	maxThreads = 1 << 10
	maxVector  = 64 << 20 // octets: four million domains
)

// header is the beginning of the memory.
type header struct {
	base      uint64 // what pointers count from
	epoch     uint64 // changes with what memory holds what
	changing  bool
	directory uint64 // a pointer
}

// segment is VPP's counter memory. Numbers in it have VPP's byte order, which
// is ours: both run on one machine.
type segment struct {
	memory io.ReaderAt
	size   uint64 // octets
	header
}

// readHeader reads the beginning of the memory. The error wraps ErrSegment if
// it is none that is understood.
func readHeader(memory io.ReaderAt) (header, error) {
	var b [headerSize]byte
	if _, err := memory.ReadAt(b[:], 0); err != nil {
		return header{}, fmt.Errorf("%w: its header: %w", ErrSegment, err)
	}
	if version := binary.NativeEndian.Uint64(b[:]); version != layout {
		return header{}, fmt.Errorf("%w: layout %d, and not %d", ErrSegment, version, layout)
	}
	return header{
		base:      binary.NativeEndian.Uint64(b[word:]),
		epoch:     binary.NativeEndian.Uint64(b[2*word:]),
		changing:  binary.NativeEndian.Uint64(b[3*word:]) != 0,
		directory: binary.NativeEndian.Uint64(b[4*word:]),
	}, nil
}

// vector reads the elements that a pointer points at. Their number stands eight
// octets before them. The kernel copies aligned counters whole, so none is half
// old and half new.
func (s *segment) vector(pointer uint64, element uint64) ([]byte, error) {
	if pointer == 0 {
		return nil, nil
	}
	offset := pointer - s.base // a pointer below the base is far too large
	if offset < headerSize+word || offset > s.size || offset%word != 0 {
		return nil, fmt.Errorf("%w: a vector at %#x of %#x", ErrSegment, offset, s.size)
	}
	var b [4]byte
	if _, err := s.memory.ReadAt(b[:], int64(offset-word)); err != nil {
		return nil, fmt.Errorf("%w: the length of a vector: %w", ErrSegment, err)
	}
	length := uint64(binary.NativeEndian.Uint32(b[:])) * element
	if length > min(s.size-offset, maxVector) {
		return nil, fmt.Errorf("%w: a vector of %d octets at %#x of %#x", ErrSegment, length, offset, s.size)
	}
	if length == 0 {
		return nil, nil
	}
	data := make([]byte, length)
	if _, err := s.memory.ReadAt(data, int64(offset)); err != nil {
		return nil, fmt.Errorf("%w: a vector: %w", ErrSegment, err)
	}
	return data, nil
}

// numbers reads a vector whose elements are of some words each.
func (s *segment) numbers(pointer, words uint64) ([]uint64, error) {
	data, err := s.vector(pointer, words*word)
	if err != nil {
		return nil, err
	}
	all := make([]uint64, len(data)/word)
	for i := range all {
		all[i] = binary.NativeEndian.Uint64(data[word*i:])
	}
	return all, nil
}

// threads reads a vector of pointers to what each of VPP's threads counts.
func (s *segment) threads(pointer uint64) ([]uint64, error) {
	all, err := s.numbers(pointer, 1)
	if err == nil && len(all) > maxThreads {
		return nil, fmt.Errorf("%w: %d threads", ErrSegment, len(all))
	}
	return all, err
}

// sums reads counters, each of some words, and adds up the threads, word by
// word.
func (s *segment) sums(pointer, words uint64) ([]uint64, error) {
	threads, err := s.threads(pointer)
	if err != nil {
		return nil, err
	}
	var sums []uint64
	for _, thread := range threads {
		counters, err := s.numbers(thread, words)
		if err != nil {
			return nil, err
		}
		if missing := len(counters) - len(sums); missing > 0 {
			sums = append(sums, make([]uint64, missing)...)
		}
		for i, n := range counters {
			sums[i] += n
		}
	}
	return sums, nil
}
