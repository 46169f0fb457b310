package eventlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// mark is what is known of an event that was written.
type mark struct {
	time     time.Time
	sequence uint64
}

// maxTail is how far back the end of the last whole line is looked for, and
// its beginning: the longest line has less than a half of it.
const maxTail = 2 << 20

// tail finds the last whole line of a log: where it ends, and its event. An
// empty log has the zero mark. The error wraps ErrForeign.
func tail(f *os.File) (size int64, last mark, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, mark{}, err
	}
	start := max(0, info.Size()-maxTail)
	b := make([]byte, info.Size()-start)
	if n, err := f.ReadAt(b, start); n < len(b) && err != io.EOF {
		return 0, mark{}, err
	}
	end, last, err := lastLine(b)
	if err != nil {
		return 0, mark{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if end == 0 && start > 0 {
		return 0, mark{}, fmt.Errorf("%s: %w: a line is longer than %d bytes", f.Name(), ErrForeign, maxTail)
	}
	return start + int64(end), last, nil
}

// lastLine finds the last whole line of b. The error wraps ErrForeign.
func lastLine(b []byte) (end int, last mark, err error) {
	end = bytes.LastIndexByte(b, '\n') + 1
	if end == 0 {
		if len(b) > 0 && b[0] != '{' {
			return 0, mark{}, ErrForeign
		}
		return 0, mark{}, nil
	}
	line := b[bytes.LastIndexByte(b[:end-1], '\n')+1 : end]
	var r Record
	if err := json.Unmarshal(line, &r); err != nil || r.Sequence == 0 {
		return 0, mark{}, fmt.Errorf("%w: its last line is no event", ErrForeign)
	}
	return end, mark{r.Time, r.Sequence}, nil
}
