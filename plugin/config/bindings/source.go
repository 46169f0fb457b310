package bindings

import (
	"bytes"
	"errors"
	"io"
)

// maxToken bounds in bytes how far a parser may read on for the end of one
// value: an unclosed quote would otherwise take the rest of the file into
// memory.
const maxToken = 1 << 20

var errLongToken = errors.New("a value has no end within 1 MiB; is a quote or a bracket missing?")

// source is a file on its way to a parser that reads ahead.
type source struct {
	r io.Reader
	// taken is how many bytes the parser has used so far.
	taken func() int64
	read  int64
	// line is the number of the line at the byte offset last asked for, and
	// newlines the offsets of line ends that were read after it.
	line     int
	newlines []int64
}

func newSource(r io.Reader) *source {
	return &source{r: r, line: 1, taken: func() int64 { return 0 }}
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.read-s.taken() > maxToken {
		return 0, errLongToken
	}
	n, err := s.r.Read(p)
	for at := 0; ; {
		i := bytes.IndexByte(p[at:n], '\n')
		if i < 0 {
			break
		}
		s.newlines = append(s.newlines, s.read+int64(at+i))
		at += i + 1
	}
	s.read += int64(n)
	return n, err
}

// lineAt is the line of the byte at offset, which never goes back.
func (s *source) lineAt(offset int64) int {
	passed := 0
	for passed < len(s.newlines) && s.newlines[passed] < offset {
		passed++
	}
	s.line += passed
	s.newlines = s.newlines[:copy(s.newlines, s.newlines[passed:])]
	return s.line
}
