package blockfile

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Writer writes a file from its beginning to its end.
type Writer struct {
	// Block is the block being written. Behind each call of Next the caller
	// appends one entry of at most 16 KiB to it.
	Block []byte

	w        *bufio.Writer
	offset   uint64
	sections [][]block
	last     Position
}

// NewWriter returns a Writer to w that is in section 0. What it writes is
// complete when Finish has returned.
func NewWriter(w io.Writer) *Writer {
	b := &Writer{w: bufio.NewWriterSize(w, 1<<20), sections: make([][]block, 1)}
	b.write([]byte(magic))
	return b
}

// write leaves errors to Finish: a bufio.Writer keeps its first.
func (w *Writer) write(b []byte) {
	_, _ = w.w.Write(b)
	w.offset += uint64(len(b))
}

// Next begins an entry, which must not stand before the one before it, and
// reports whether it is the first of a block: nothing of the entries before it
// is known to who reads it.
func (w *Writer) Next(at Position) (first bool, err error) {
	if len(w.Block) > maxBlock {
		return false, fmt.Errorf("entry at %v: larger than %d bytes", w.last, maxEntry)
	}
	if len(w.Block) >= fullBlock {
		w.endBlock()
	}
	index := &w.sections[len(w.sections)-1]
	if len(*index) > 0 && at.Compare(w.last) < 0 {
		return false, fmt.Errorf("entry at %v stands behind one at %v", at, w.last)
	}
	w.last = at
	if len(w.Block) > 0 {
		return false, nil
	}
	*index = append(*index, block{at, w.offset})
	return true, nil
}

func (w *Writer) endBlock() {
	if len(w.Block) > 0 {
		w.write(binary.LittleEndian.AppendUint32(w.Block, sum(w.Block)))
	}
	w.Block = w.Block[:0]
}

// Section begins the next section.
func (w *Writer) Section() {
	w.endBlock()
	w.sections = append(w.sections, nil)
}

// Size is how many bytes the file has so far.
func (w *Writer) Size() int64 { return int64(w.offset) }

// Finish writes the tail with extra in it. It returns the first error of all
// that was written.
func (w *Writer) Finish(extra []byte) error {
	w.endBlock()
	offset := w.offset
	tail := binary.LittleEndian.AppendUint32(nil, uint32(len(w.sections)))
	for _, index := range w.sections {
		tail = binary.LittleEndian.AppendUint32(tail, uint32(len(index)))
		for _, b := range index {
			tail = binary.LittleEndian.AppendUint64(tail, b.first.Major)
			tail = binary.LittleEndian.AppendUint64(tail, b.first.Minor)
			tail = binary.LittleEndian.AppendUint64(tail, b.offset)
		}
	}
	tail = append(tail, extra...)
	w.write(tail)
	foot := binary.LittleEndian.AppendUint64(nil, offset)
	foot = binary.LittleEndian.AppendUint32(foot, sum(tail))
	w.write(append(foot, magic...))
	return w.w.Flush()
}
