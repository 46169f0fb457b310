package stream

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// readBuffer is how much is read at once, in octets.
const readBuffer = 64 << 10

// reader reads messages.
type reader struct{ from *bufio.Reader }

func newReader(r io.Reader) reader { return reader{bufio.NewReaderSize(r, readBuffer)} }

// next reads a message. Its content is valid until the next call. The error is io.EOF
// at the end, wraps errMalformed, or is that of reading.
func (r reader) next() (number uint32, k kind, content []byte, err error) {
	head, err := r.from.Peek(lengthSize)
	if err != nil {
		if len(head) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, nil, err
	}
	size := int(binary.BigEndian.Uint16(head))
	if size < headSize || size > maxMessage {
		return 0, 0, nil, fmt.Errorf("%w: %d octets", errMalformed, size)
	}
	b, err := r.from.Peek(lengthSize + size)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, nil, err
	}
	// It was peeked at.
	_, _ = r.from.Discard(len(b))
	b = b[lengthSize:]
	return binary.BigEndian.Uint32(b), kind(b[4]), b[headSize:], nil
}
