package bindings

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxYAMLLine bounds the length of a line in bytes. An entry with every key
// takes about 250.
const maxYAMLLine = 4096

// readYAML yields the rows of a list of entries. It reads the part of YAML that
// such a list needs line by line: a general YAML parser holds the whole file as
// a tree, many times the size of the table.
func readYAML(r io.Reader, yield func(Row, *rowError) bool) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxYAMLLine), maxYAMLLine)
	y := yamlReader{yield: yield, dash: -1}
	for s.Scan() {
		y.number++
		if !y.line(s.Text()) {
			return
		}
	}
	if !y.finish() {
		return
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		yield(Row{}, fatal(rowErrorf(y.number+1, "the line is longer than %d bytes", maxYAMLLine)))
	case err != nil:
		yield(Row{}, fatal(&rowError{line: y.number + 1, err: err}))
	}
}

// yamlReader is where in the list the reader is.
type yamlReader struct {
	yield  func(Row, *rowError) bool
	number int // of the present line
	dash   int // indentation of every item; -1 before the first
	// The item being read.
	open  bool
	whole bool // was written as {...}, so no more keys may follow
	keys  int  // indentation of its keys; -1 before the first
	row   Row
	b     builder
	bad   *rowError
}

// line reads one line and reports whether to go on.
func (y *yamlReader) line(text string) bool {
	text = strings.TrimSuffix(text, "\r")
	if !utf8.ValidString(text) || strings.ContainsFunc(text, strange) {
		y.yield(Row{}, fatal(rowErrorf(y.number, "not a line of text in UTF-8")))
		return false
	}
	rest := strings.TrimLeft(text, " ")
	indent := len(text) - len(rest)
	if rest == "" || rest[0] == '#' || !y.open && y.dash < 0 && indent == 0 && strings.TrimRight(rest, " ") == "---" {
		return true
	}
	if after, ok := cutDash(rest); ok && (y.dash < 0 || indent == y.dash) {
		if !y.finish() {
			return false
		}
		y.dash, y.open, y.whole, y.keys = indent, true, false, -1
		y.row, y.b, y.bad = Row{Line: y.number}, builder{}, nil
		rest = strings.TrimLeft(after, " ")
		indent = len(text) - len(rest)
		if rest == "" || rest[0] == '#' {
			return true
		}
	}
	if !y.open {
		y.yield(Row{}, fatal(rowErrorf(y.number, "want a list of entries, each starting with a dash")))
		return false
	}
	y.content(rest, indent)
	return true
}

// strange is what does not stand in a line of text, not even in a comment:
// other readers may take some of it for the end of the line.
func strange(r rune) bool { return r != '\t' && !unicode.IsGraphic(r) }

// cutDash takes the dash of a list item off.
func cutDash(s string) (rest string, ok bool) {
	if s == "-" || strings.HasPrefix(s, "- ") {
		return s[1:], true
	}
	return s, false
}

// content reads what stands in one line of the open item.
func (y *yamlReader) content(text string, indent int) {
	if y.bad != nil {
		return // one error per item
	}
	first := y.keys < 0 && !y.whole
	switch {
	case y.whole || indent <= y.dash || !first && indent != y.keys:
		y.fail(errors.New("unexpected here: want the next entry, or a key below the others of this one"))
	case first && text[0] == '{':
		y.whole = true
		y.fail(y.flow(text[1:]))
	default:
		y.keys = indent
		key, value, err := blockPair(text)
		if err == nil {
			err = y.b.set(key, value)
		}
		y.fail(err)
	}
}

func (y *yamlReader) fail(err error) {
	if err != nil && y.bad == nil {
		y.bad = &rowError{line: y.number, err: err}
	}
}

// finish yields the open item and reports whether to go on.
func (y *yamlReader) finish() bool {
	if !y.open {
		return true
	}
	y.open = false
	if y.bad == nil {
		if err := y.b.missing(); err != nil {
			y.bad = &rowError{line: y.row.Line, err: err}
		}
	}
	y.row.Entry = y.b.entry
	return y.yield(y.row, y.bad)
}

// flow reads "key: value, key: value}".
func (y *yamlReader) flow(s string) error {
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return errors.New("the closing } is missing in this line")
		}
		if s[0] == '}' {
			break
		}
		key, rest, err := keyOf(s)
		if err != nil {
			return err
		}
		value, rest, err := scalarOf(rest, true)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if err := y.b.set(key, value); err != nil {
			return err
		}
		if s = strings.TrimLeft(rest, " "); s != "" && s[0] == ',' {
			s = s[1:]
		} else if s == "" || s[0] != '}' {
			return fmt.Errorf("%s: want a comma or } after the value", key)
		}
	}
	return endOfLine(s[1:])
}

// blockPair reads "key: value" up to the end of the line.
func blockPair(s string) (key, value string, err error) {
	key, rest, err := keyOf(s)
	if err != nil {
		return "", "", err
	}
	value, rest, err = scalarOf(rest, false)
	if err == nil {
		err = endOfLine(rest)
	}
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", key, err)
	}
	return key, value, nil
}

// keyOf reads a key and its colon.
func keyOf(s string) (key, rest string, err error) {
	end := 0
	for end < len(s) && (s[end] >= 'a' && s[end] <= 'z' || s[end] >= '0' && s[end] <= '9' || s[end] == '-') {
		end++
	}
	rest = strings.TrimLeft(s[end:], " ")
	if end == 0 || s[0] == '-' || rest == "" || rest[0] != ':' || len(rest) > 1 && rest[1] != ' ' {
		return "", "", fmt.Errorf("%.60q is not understood: want key: value", s)
	}
	return s[:end], rest[1:], nil
}

// scalarOf reads a value: quoted without escapes, or made of the characters
// that numbers and addresses have. In a flow, a comma or brace ends it.
func scalarOf(s string, flow bool) (value, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 {
			return "", "", errors.New("the closing quote is missing in this line")
		}
		value, rest = s[1:1+end], s[2+end:]
		if strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) >= 0 {
			return "", "", fmt.Errorf("%.60q is neither a number nor an address", value)
		}
		return value, rest, nil
	}
	end := strings.IndexFunc(s, func(r rune) bool { return !plain(r) })
	if end < 0 {
		end = len(s)
	}
	value, rest = s[:end], s[end:]
	switch {
	case value == "" && (rest == "" || strings.IndexByte("#,}", rest[0]) >= 0):
		return "", "", errors.New("has no value")
	case value == "", rest != "" && rest[0] != ' ' && !(flow && (rest[0] == ',' || rest[0] == '}')),
		strings.HasSuffix(value, ":"):
		return "", "", fmt.Errorf("%.60q is neither a number nor an address", s)
	}
	return value, rest, nil
}

// plain is what numbers and addresses are made of.
func plain(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F' || r == ':' || r == '.' || r == '/'
}

// endOfLine accepts nothing but a comment.
func endOfLine(s string) error {
	rest := strings.TrimLeft(s, " ")
	if rest == "" || rest[0] == '#' && len(rest) < len(s) {
		return nil
	}
	return fmt.Errorf("%.60q is not understood", rest)
}
