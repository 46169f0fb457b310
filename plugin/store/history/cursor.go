package history

import (
	"errors"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// Cursor is where a query stopped, for another one to go on there. The zero
// Cursor is the beginning.
type Cursor struct {
	key  uint64
	at   stamp
	seen int // Holds of this key and time that the query yielded
}

// ErrCursor reports a text that is no Cursor.
var ErrCursor = errors.New("not a cursor")

// Past is the Cursor behind h, if c was the one behind the Hold before it.
func (c Cursor) Past(h Hold) Cursor {
	at := h.Start.Time
	if at.IsZero() {
		at = h.End.Time
	}
	next := Cursor{packKey(h.Key), stampOf(at), 1}
	if c.key == next.key && c.at == next.at {
		next.seen = c.seen + 1
	}
	return next
}

// String is a text without blanks; empty for the beginning.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x", c.key, int64(c.at), c.seen)
}

// ParseCursor reads what String writes. The error wraps ErrCursor.
func ParseCursor(text string) (c Cursor, err error) {
	if text == "" {
		return Cursor{}, nil
	}
	var at int64
	n, err := fmt.Sscanf(text, "%x-%x-%x", &c.key, &at, &c.seen)
	c.at = stamp(at)
	if n != 3 || err != nil || c.seen < 1 || !c.at.valid() || c.String() != text {
		return Cursor{}, fmt.Errorf("%.60q: %w", text, ErrCursor)
	}
	return c, nil
}

func (c Cursor) position() blockfile.Position {
	return blockfile.Position{Major: c.key, Minor: uint64(c.at)}
}

// passes reports whether r, the next one that the query selects, was yielded
// before.
func (c *Cursor) passes(r *record) bool {
	switch order := r.position().Compare(c.position()); {
	case order < 0:
		return true
	case order == 0 && c.seen > 0:
		c.seen--
		return true
	}
	return false
}
