package bindings

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// jsonModule is the namespace of every name at the top (RFC 7951 section 4).
const jsonModule = "ietf-softwire-br:"

// maxJSONDepth bounds how deep values that are skipped may nest.
const maxJSONDepth = 32

// errStop ends reading because whoever takes the rows wants no more.
var errStop = errors.New("no more rows wanted")

// readJSON yields the rows of an RFC 8676 binding table in RFC 7951 encoding.
func readJSON(r io.Reader, yield func(Row, *rowError) bool) {
	j := &jsonReader{lex: jsonLexer{r: bufio.NewReaderSize(r, 64<<10), line: 1}, yield: yield}
	if err := j.file(); err != nil && !errors.Is(err, errStop) {
		yield(Row{}, fatal(&rowError{line: j.lex.line, err: err}))
	}
}

// jsonReader walks down a table and never holds more than one entry.
type jsonReader struct {
	lex   jsonLexer
	yield func(Row, *rowError) bool
}

func (j *jsonReader) file() error {
	err := j.object("the file", func(key string) error {
		name, ok := strings.CutPrefix(key, jsonModule)
		if !ok {
			return fmt.Errorf("%.60q where a name of %s is expected", key, strings.TrimSuffix(jsonModule, ":"))
		}
		level := slices.Index(jsonLevels(), name)
		if level < 0 {
			return fmt.Errorf("%.60q holds no binding table", key)
		}
		return j.member(level, name)
	})
	if err != nil {
		return err
	}
	if t, err := j.lex.next(); err != nil {
		return err
	} else if t != jsonEnd {
		return errors.New("more follows after the end of the table")
	}
	return nil
}

// jsonLevels are the names on the way down to the entries, each inside the one
// before it. A file may start at any.
func jsonLevels() []string {
	return []string{"br-instances", "binding", "bind-instance", "binding-table", "binding-entry"}
}

// member reads the value of name, which stands at the level'th level.
func (j *jsonReader) member(level int, name string) error {
	below := func(key string) error {
		if slices.Index(jsonLevels(), key) == level+1 {
			return j.member(level+1, key)
		}
		return j.setting(name, key)
	}
	switch name {
	case "binding-entry":
		return j.array(name, j.entry)
	case "bind-instance":
		return j.array(name, func() error { return j.object(name, below) })
	}
	return j.object(name, below)
}

// setting skips a leaf of a bind-instance that is not about its bindings.
func (j *jsonReader) setting(parent, key string) error {
	if parent == "bind-instance" {
		switch key {
		case "name", "binding-table-versioning", "softwire-num-max", "softwire-payload-mtu",
			"softwire-path-mru", "enable-hairpinning", "icmp-policy", "traffic-stat":
			return j.skip(0)
		}
	}
	return fmt.Errorf("%.60q in %s is not of lightweight 4over6", key, parent)
}

// expect reads one token, which must be want.
func (j *jsonReader) expect(want jsonToken, name string) error {
	t, err := j.lex.next()
	if err != nil {
		return err
	}
	if t != want {
		return j.unexpected(t, name, want)
	}
	return nil
}

func (j *jsonReader) unexpected(t jsonToken, name string, want ...jsonToken) error {
	found := fmt.Sprintf("%q", t)
	switch t {
	case jsonEnd:
		return errEndsEarly
	case jsonString, jsonNumber, jsonWord:
		found = fmt.Sprintf("%.60q", j.lex.text)
	}
	options := make([]string, len(want))
	for i, w := range want {
		options[i] = fmt.Sprintf("%q", w)
		if w == jsonString {
			options[i] = "a string"
		}
	}
	return fmt.Errorf("not a binding table: %s: %s where %s is expected", name, found, strings.Join(options, " or "))
}

// more reads what separates members or items: true with a comma, false with
// the closing bracket end.
func (j *jsonReader) more(end jsonToken, name string) (bool, error) {
	t, err := j.lex.next()
	switch {
	case err != nil:
		return false, err
	case t == ',':
		return true, nil
	case t == end:
		return false, nil
	}
	return false, j.unexpected(t, name, ',', end)
}

// none reports whether the closing bracket end follows at once.
func (j *jsonReader) none(end jsonToken) (bool, error) {
	t, err := j.lex.next()
	if err == nil && t != end {
		j.lex.unread()
	}
	return t == end, err
}

// object reads an object; member reads the value of each key.
func (j *jsonReader) object(name string, member func(key string) error) error {
	if err := j.expect('{', name); err != nil {
		return err
	}
	none, err := j.none('}')
	for more := !none; more && err == nil; {
		if err = j.expect(jsonString, name); err != nil {
			break
		}
		key := string(j.lex.text)
		if err = j.expect(':', name); err != nil {
			break
		}
		if err = member(key); err != nil {
			break
		}
		more, err = j.more('}', name)
	}
	return err
}

// array reads an array; item reads each.
func (j *jsonReader) array(name string, item func() error) error {
	if err := j.expect('[', name); err != nil {
		return err
	}
	none, err := j.none(']')
	for more := !none; more && err == nil; {
		if err = item(); err != nil {
			break
		}
		more, err = j.more(']', name)
	}
	return err
}

// skip reads one value of any kind, depth levels deep inside another.
func (j *jsonReader) skip(depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("values nest deeper than %d", maxJSONDepth)
	}
	t, err := j.lex.next()
	switch {
	case err != nil:
		return err
	case t == '{':
		j.lex.unread()
		return j.object("a value", func(string) error { return j.skip(depth + 1) })
	case t == '[':
		j.lex.unread()
		return j.array("a value", func() error { return j.skip(depth + 1) })
	case t == jsonString, t == jsonNumber, t == jsonWord:
		return nil
	}
	return j.unexpected(t, "a value", jsonString)
}

// entry reads one binding-entry and yields it. What is wrong with its values
// does not keep the next ones from being read.
func (j *jsonReader) entry() error {
	e := jsonEntry{j: j}
	err := j.object("binding-entry", func(key string) error {
		if e.line == 0 {
			e.line = j.lex.line
		}
		number, known := numeric(key)
		if key == "port-set" && !e.portSet {
			e.portSet = true
			return j.object(key, e.portSetValue)
		}
		return e.value(key, known && !number)
	})
	if err != nil {
		return err
	}
	if !j.yield(e.row()) {
		return errStop
	}
	return nil
}

// jsonEntry is one binding-entry being read.
type jsonEntry struct {
	j       *jsonReader
	line    int // of its first key
	b       builder
	bad     *rowError // the first problem
	portSet bool
}

func (e *jsonEntry) row() (Row, *rowError) {
	if e.line == 0 {
		e.line = e.j.lex.line
	}
	e.fail(e.line, e.b.missing())
	if e.b.entry.PSIDOffset == nil {
		// RFC 8676 module ietf-softwire-br, binding-entry: default "0".
		e.b.entry.PSIDOffset = new(uint8)
	}
	return Row{e.line, e.b.entry}, e.bad
}

func (e *jsonEntry) fail(line int, err error) {
	if err != nil && e.bad == nil {
		e.bad = &rowError{line: line, err: err}
	}
}

func (e *jsonEntry) portSetValue(key string) error {
	number, _ := numeric(key)
	return e.value(key, number)
}

// value reads the value of key; here says that the key belongs at this level.
func (e *jsonEntry) value(key string, here bool) error {
	lex := &e.j.lex
	if !here {
		e.fail(lex.line, element.Errorf(key, "unknown here or given twice; a binding-entry has %s, %s, %s and a port-set of %s, %s, %s",
			keyIPv4, keyIPv6Info, keyBR, keyPSIDOffset, keyPSIDLen, keyPSID))
		return e.j.skip(0)
	}
	t, err := lex.next()
	if err != nil {
		return err
	}
	want, kind := jsonString, "string"
	if number, _ := numeric(key); number {
		// RFC 7951 section 6.1: numbers of up to 32 bits are JSON numbers.
		want, kind = jsonNumber, "number"
	}
	if t != want {
		e.fail(lex.line, element.Errorf(key, "want a JSON %s (RFC 7951)", kind))
		lex.unread()
		return e.j.skip(0)
	}
	e.fail(lex.line, e.b.set(key, string(lex.text)))
	return nil
}
