package blockfile

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sort"
)

// File is a file that is read. Its methods may be called from several
// goroutines if its ReaderAt's may.
type File struct {
	r        io.ReaderAt
	sections [][]block
	end      uint64 // of the last block
	extra    []byte
}

// Open reads the index of a file of size bytes. The error wraps ErrCorrupt
// unless reading failed.
func Open(r io.ReaderAt, size int64) (*File, error) {
	if size < int64(len(magic)+4+footer) {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrCorrupt, size)
	}
	var head [len(magic)]byte
	foot := make([]byte, footer)
	if err := readAt(r, head[:], 0); err != nil {
		return nil, err
	}
	if err := readAt(r, foot, size-int64(footer)); err != nil {
		return nil, err
	}
	if string(head[:]) != magic {
		return nil, fmt.Errorf("%w: it does not begin like a file of sorted blocks", ErrCorrupt)
	}
	if string(foot[footer-len(magic):]) != magic {
		return nil, fmt.Errorf("%w: its end is missing", ErrCorrupt)
	}
	offset := binary.LittleEndian.Uint64(foot)
	if offset < uint64(len(magic)) || offset > uint64(size)-uint64(footer) {
		return nil, fmt.Errorf("%w: its tail is not where it should be", ErrCorrupt)
	}
	tail := make([]byte, size-int64(footer)-int64(offset))
	if err := readAt(r, tail, int64(offset)); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(foot[8:]) != sum(tail) {
		return nil, fmt.Errorf("%w: checksum of its index", ErrCorrupt)
	}
	f := &File{r: r, end: offset}
	if !f.parseTail(tail) {
		return nil, fmt.Errorf("%w: its index makes no sense", ErrCorrupt)
	}
	return f, nil
}

// readAt fills b, whose place the file's size says exists.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == io.EOF:
		return fmt.Errorf("%w: it ends at byte %d", ErrCorrupt, offset+int64(n))
	}
	return fmt.Errorf("reading at byte %d: %w", offset, err)
}

// parseTail reports false for what a Writer never writes.
func (f *File) parseTail(tail []byte) bool {
	sections, tail, ok := count(tail, 4)
	if !ok {
		return false
	}
	least := uint64(len(magic)) // where the next block can begin
	for range sections {
		var n int
		if n, tail, ok = count(tail, indexSize); !ok {
			return false
		}
		index := make([]block, n)
		for i := range index {
			b := block{
				Position{binary.LittleEndian.Uint64(tail), binary.LittleEndian.Uint64(tail[8:])},
				binary.LittleEndian.Uint64(tail[16:]),
			}
			tail = tail[indexSize:]
			if b.offset < least || b.offset >= f.end || i > 0 && b.first.Compare(index[i-1].first) < 0 {
				return false
			}
			least = b.offset + checksum + 1
			index[i] = b
		}
		f.sections = append(f.sections, index)
	}
	f.extra = tail
	return true
}

// count reads how many things of at least size bytes follow.
func count(b []byte, size int) (n int, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	c := binary.LittleEndian.Uint32(b)
	b = b[4:]
	return int(c), b, c <= math.MaxInt32 && int64(c)*int64(size) <= int64(len(b))
}

// Extra is what the Writer was given to Finish with. It must not be changed.
func (f *File) Extra() []byte { return f.extra }

// Sections is how many there are.
func (f *File) Sections() int { return len(f.sections) }

// Blocks is how many blocks a section has.
func (f *File) Blocks(section int) int { return len(f.sections[section]) }

// Seek returns the last block of a section whose first entry stands before at,
// or at it; the first block if there is none.
func (f *File) Seek(section int, at Position) int {
	index := f.sections[section]
	i := sort.Search(len(index), func(i int) bool { return index[i].first.Compare(at) > 0 })
	return max(0, i-1)
}

// First is the Position of the first entry of a block.
func (f *File) First(section, i int) Position { return f.sections[section][i].first }

// Block reads the entries of one block: the i-th of a section, from 0 to
// Blocks-1. The error wraps ErrCorrupt unless reading failed.
func (f *File) Block(section, i int) (string, error) {
	start, end := f.bounds(section, i)
	if end-start > maxBlock+checksum || end-start <= checksum {
		return "", fmt.Errorf("%w: a block of %d bytes at byte %d", ErrCorrupt, end-start, start)
	}
	b := make([]byte, end-start)
	if err := readAt(f.r, b, int64(start)); err != nil {
		return "", err
	}
	body := b[:len(b)-checksum]
	if binary.LittleEndian.Uint32(b[len(body):]) != sum(body) {
		return "", fmt.Errorf("%w: checksum of the block at byte %d", ErrCorrupt, start)
	}
	return string(body), nil
}

// bounds is where a block begins and ends.
func (f *File) bounds(section, i int) (start, end uint64) {
	start, end = f.sections[section][i].offset, f.end
	if i++; i < len(f.sections[section]) {
		return start, f.sections[section][i].offset
	}
	for _, next := range f.sections[section+1:] {
		if len(next) > 0 {
			return start, next[0].offset
		}
	}
	return start, end
}
