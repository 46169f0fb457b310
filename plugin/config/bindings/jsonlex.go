package bindings

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/lwaftr/lw4o6/plugin/config"
)

// jsonToken is what a jsonLexer finds. Punctuation is its own character.
type jsonToken byte

const (
	jsonEnd    jsonToken = 0 // of the file
	jsonString jsonToken = 's'
	jsonNumber jsonToken = 'n'
	jsonWord   jsonToken = 'w' // true, false or null
)

// jsonLexer reads JSON (RFC 8259) token by token, and knows the line. It is
// ours because with the standard library's Decoder a table took twice as long
// to load, and an error was known by its offset only.
type jsonLexer struct {
	r    *bufio.Reader
	line int
	text []byte // of the last string or number; changes with the next token
	back bool   // last is to be read again
	last jsonToken
}

// unread makes the next call of next return the last token again.
func (l *jsonLexer) unread() { l.back = true }

// next reads one token. Its errors are about the text, or the reader's.
func (l *jsonLexer) next() (jsonToken, error) {
	if l.back {
		l.back = false
		return l.last, nil
	}
	t, err := l.scan()
	l.last = t
	return t, err
}

func (l *jsonLexer) scan() (jsonToken, error) {
	c, err := l.skipSpace()
	if errors.Is(err, io.EOF) {
		return jsonEnd, nil
	}
	if err != nil {
		return jsonEnd, config.Cause(err)
	}
	switch {
	case c == '{', c == '}', c == '[', c == ']', c == ':', c == ',':
		return jsonToken(c), nil
	case c == '"':
		return jsonString, l.scanString()
	case c == '-', c >= '0' && c <= '9':
		return jsonNumber, l.scanNumber(c)
	case c == 't', c == 'f', c == 'n':
		return jsonWord, l.scanWord(c)
	}
	return jsonEnd, fmt.Errorf("not JSON: character %q where a value is expected", c)
}

func (l *jsonLexer) skipSpace() (byte, error) {
	for {
		c, err := l.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case '\n':
			l.line++
		case ' ', '\t', '\r':
		default:
			return c, nil
		}
	}
}

// maxJSONText bounds the length of a string or number in bytes. The longest
// that means anything to us is a prefix of 43.
const maxJSONText = 4096

var errEndsEarly = errors.New("not JSON: the file ends too early")

// byteOf reads one byte inside a token.
func (l *jsonLexer) byteOf() (byte, error) {
	c, err := l.r.ReadByte()
	if errors.Is(err, io.EOF) {
		return 0, errEndsEarly
	}
	if err != nil {
		return 0, config.Cause(err)
	}
	if len(l.text) >= maxJSONText {
		return 0, fmt.Errorf("a value longer than %d bytes; is a quote missing?", maxJSONText)
	}
	return c, nil
}

// scanString reads a string after its opening quote.
func (l *jsonLexer) scanString() error {
	l.text = l.text[:0]
	escaped := false
	for {
		c, err := l.byteOf()
		switch {
		case err != nil:
			return err
		case c == '"':
			if escaped {
				return l.unescape()
			}
			return nil
		case c < ' ':
			// RFC 8259 section 7: control characters must be escaped.
			return errors.New("not JSON: a control character in a string; is a quote missing?")
		case c == '\\':
			escaped = true
			l.text = append(l.text, c)
			if c, err = l.byteOf(); err != nil {
				return err
			}
			if c < ' ' {
				return errors.New("not JSON: a control character in a string")
			}
		}
		l.text = append(l.text, c)
	}
}

// unescape replaces the escapes in text.
func (l *jsonLexer) unescape() error {
	var s string
	if err := json.Unmarshal(append(append([]byte{'"'}, l.text...), '"'), &s); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	l.text = append(l.text[:0], s...)
	return nil
}

// scanNumber reads a number that begins with c.
func (l *jsonLexer) scanNumber(c byte) error {
	l.text = append(l.text[:0], c)
	simple := c != '-'
	for {
		c, err := l.byteOf()
		if errors.Is(err, errEndsEarly) {
			break
		}
		if err != nil {
			return err
		}
		if c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-' {
			simple = false
		} else if c < '0' || c > '9' {
			if err := l.r.UnreadByte(); err != nil {
				return err
			}
			break
		}
		l.text = append(l.text, c)
	}
	if simple && (l.text[0] != '0' || len(l.text) == 1) || json.Valid(l.text) {
		return nil
	}
	return fmt.Errorf("not JSON: %.60q is not a number", l.text)
}

// scanWord reads true, false or null, which begins with c.
func (l *jsonLexer) scanWord(c byte) error {
	word := map[byte]string{'t': "true", 'f': "false", 'n': "null"}[c]
	l.text = append(l.text[:0], c)
	for len(l.text) < len(word) {
		c, err := l.byteOf()
		if err != nil {
			return err
		}
		l.text = append(l.text, c)
	}
	if string(l.text) != word {
		return fmt.Errorf("not JSON: %.60q where a value is expected", l.text)
	}
	return nil
}
