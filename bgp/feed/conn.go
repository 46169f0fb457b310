package feed

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxFrame is the longest JSON in a frame, in octets.
const MaxFrame = 4 << 20

// ErrFrame is a frame that the other side cannot have meant.
var ErrFrame = errors.New("bad frame")

// message is an Order or a Report.
type message interface{ check() error }

// Write sends one message as a frame, in one call of w. A deadline is up to w.
func Write(w io.Writer, m message) error {
	frame := bytes.NewBuffer(make([]byte, 4, 512))
	if err := json.NewEncoder(frame).Encode(m); err != nil {
		return fmt.Errorf("a frame: %w", err)
	}
	size := frame.Len() - 4
	if size > MaxFrame {
		return fmt.Errorf("%w: %d octets to send", ErrFrame, size)
	}
	binary.BigEndian.PutUint32(frame.Bytes(), uint32(size))
	if _, err := w.Write(frame.Bytes()); err != nil {
		return fmt.Errorf("a frame: %w", err)
	}
	return nil
}

// Read takes one message from r. The error is io.EOF when r ends between two
// frames, and wraps ErrFrame for one that is not as it has to be.
func Read(r io.Reader, m message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > MaxFrame {
		return fmt.Errorf("%w: %d octets are announced", ErrFrame, size)
	}
	// The buffer grows with what comes, not with what is announced.
	data, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return err
	}
	if len(data) < int(size) {
		return io.ErrUnexpectedEOF
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(m); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the message", ErrFrame)
	}
	if err := m.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return nil
}
