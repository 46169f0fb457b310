package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is one problem of a file.
type Error struct {
	File    string
	Line    int    // from 1; 0 if it is about the whole file
	Element string // path of the element, such as "pools[0].name", or empty
	Err     error
}

// Error is "file:line: element: problem" on one line, whatever the problem's
// text holds.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(oneLine(e.File))
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Element != "" {
		b.WriteString(": " + oneLine(e.Element))
	}
	b.WriteString(": " + oneLine(e.Err.Error()))
	return b.String()
}

// Unwrap is the problem without its place.
func (e *Error) Unwrap() error { return e.Err }

// maxErrors bounds what is reported of one file: a file of the wrong kind is
// wrong on every line.
const maxErrors = 100

// Errors are the problems of one file in the order of its lines, and of other
// files that it names.
type Errors []*Error

// Error is one line per problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.Is and errors.As every problem.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// sorted returns e by file, in the order in which they first appear, and line,
// and bounded; nil if there is nothing to report.
func (e Errors) sorted() error {
	if len(e) == 0 {
		return nil
	}
	files := make(map[string]int)
	for i, one := range e {
		if _, ok := files[one.File]; !ok {
			files[one.File] = i
		}
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(files[a.File], files[b.File]), cmp.Compare(a.Line, b.Line))
	})
	if more := len(e) - maxErrors; more > 0 {
		e = append(e[:maxErrors:maxErrors], &Error{
			File: e[0].File, Err: fmt.Errorf("%d more errors are not shown", more),
		})
	}
	return e
}

// oneLine makes a text that quotes a file safe for a terminal and for a log
// that has one line per error.
func oneLine(s string) string {
	clean := func(r rune) bool { return !strconv.IsPrint(r) }
	if !strings.ContainsFunc(s, clean) {
		return s
	}
	quoted := strconv.Quote(s)
	// Only the escapes are wanted: quotes and backslashes stay as they were.
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}
