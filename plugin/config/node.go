package config

import (
	"strconv"
	"strings"
)

// kind is what a node is written as.
type kind uint8

const (
	empty   kind = iota // nothing, ~ or null
	scalar              // one value
	list                // items in order
	mapping             // keys with values
	refused             // an error was noted for it
)

// String is the kind in an operator's words.
func (k kind) String() string {
	return [...]string{"nothing", "a single value", "a list", "a set of keys", "refused"}[k]
}

// node is one value of a file.
type node struct {
	kind    kind
	line    int
	text    string  // of a scalar, unquoted
	plain   bool    // a scalar written without quotes
	items   []*node // of a list
	entries []entry // of a mapping, in the file's order
	index   map[string]int
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	line  int
	value *node
}

// get returns the entry of key.
func (n *node) get(key string) (entry, bool) {
	i, ok := n.index[key]
	if !ok {
		return entry{}, false
	}
	return n.entries[i], true
}

// add appends an entry whose key is not there yet.
func (n *node) add(e entry) {
	if n.index == nil {
		n.index = make(map[string]int)
	}
	n.index[e.key] = len(n.entries)
	n.entries = append(n.entries, e)
}

// lineOf returns the line where the element at path stands, or the closest
// element around it that the file mentions; 0 if that is the whole file.
func (n *node) lineOf(path string) int {
	line := 0
	for n != nil && path != "" {
		step, rest := cutPath(path)
		n, path = n.step(step, &line), rest
	}
	return line
}

// step goes down one key or "[index]" and notes the line it arrives at.
func (n *node) step(step string, line *int) *node {
	if index, ok := strings.CutPrefix(step, "["); ok {
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || i < 0 || i >= len(n.items) {
			return nil
		}
		*line = n.items[i].line
		return n.items[i]
	}
	e, ok := n.get(step)
	if !ok {
		return nil
	}
	*line = e.line
	return e.value
}

// cutPath splits the first key or "[index]" off a path.
func cutPath(path string) (step, rest string) {
	end := len(path)
	if i := strings.IndexAny(path[1:], ".["); i >= 0 {
		end = i + 1
	}
	return path[:end], strings.TrimPrefix(path[end:], ".")
}
