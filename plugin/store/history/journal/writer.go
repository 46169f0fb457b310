package journal

import (
	"encoding/binary"
	"fmt"
	"io"
)

// File is where a journal is written; *os.File is one.
type File interface {
	io.WriterAt
	Sync() error
	Truncate(size int64) error
}

// Writer appends frames. It has one caller at a time.
type Writer struct {
	file File
	size int64 // of all that is durable
	torn bool  // there may be something behind it
	buf  []byte
}

// NewWriter returns a Writer that begins a journal in an empty file, or goes on
// behind the good bytes that Read counted. Whether what it found was durable is
// not known, so that all is torn until the first Append or Sync.
func NewWriter(file File, good int) *Writer {
	return &Writer{file: file, size: int64(good), torn: true}
}

// Size is how many bytes the journal has.
func (w *Writer) Size() int64 { return w.size }

// Sync cuts off a torn tail and makes everything durable.
func (w *Writer) Sync() error {
	if w.torn {
		if err := w.file.Truncate(w.size); err != nil {
			return fmt.Errorf("cutting off what a failure left behind: %w", err)
		}
	}
	if w.size == 0 {
		if _, err := w.file.WriteAt([]byte(magic), 0); err != nil {
			return fmt.Errorf("beginning a journal: %w", err)
		}
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("making a journal durable: %w", err)
	}
	w.size = max(w.size, int64(len(magic)))
	w.torn = false
	return nil
}

// Append adds a frame, which is durable when it returns. After an error the
// frame is not part of the journal, and may be appended again.
func (w *Writer) Append(payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("a frame of %d bytes; the largest has %d", len(payload), MaxPayload)
	}
	// A frame that failed may be there in part, and even whole: it must not be
	// taken for one that was durable before this one.
	if w.torn {
		if err := w.Sync(); err != nil {
			return err
		}
	}
	b := append(w.buf[:0], mark...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, sum(b[len(mark):], string(payload)))
	b = append(b, payload...)
	w.buf = b
	w.torn = true
	if _, err := w.file.WriteAt(b, w.size); err != nil {
		return fmt.Errorf("appending to a journal: %w", err)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("making a journal durable: %w", err)
	}
	w.size += int64(len(b))
	w.torn = false
	return nil
}
