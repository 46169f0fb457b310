// Package element owns how an error says which element of a configuration it
// is about, so that whoever reads the configuration's file can add the line.
// The path is that of the keys from the value that was checked downwards, such
// as "static[3].psid"; each enclosing value puts its own key in front with At.
package element

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a problem of one element.
type Error struct {
	Path string // keys joined by dots, list items as [index] from 0
	Err  error
}

// Error is "path: problem".
func (e *Error) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap is the problem without the path.
func (e *Error) Unwrap() error { return e.Err }

// Errorf is a new problem of the element at path.
func Errorf(path, format string, args ...any) error {
	return &Error{Path: path, Err: fmt.Errorf(format, args...)}
}

// Item is the path of one item of the list at path.
func Item(path string, index int) string { return fmt.Sprintf("%s[%d]", path, index) }

// At says that err is about the element at path, or about the one below it
// that err already names. Each error of a list made by errors.Join is placed by
// itself. At of nil is nil.
func At(path string, err error) error {
	var placed []error
	for _, e := range Each(err) {
		at := &Error{Path: path, Err: e}
		var below *Error
		// Only an outermost Error is a path: one deeper inside belongs to the
		// text of whatever wrapped it.
		if b, ok := e.(*Error); ok {
			below = b
			at = &Error{Path: Join(path, below.Path), Err: below.Err}
		}
		placed = append(placed, at)
	}
	return errors.Join(placed...)
}

// Join appends the path below to path.
func Join(path, below string) string {
	switch {
	case path == "":
		return below
	case below == "" || strings.HasPrefix(below, "["):
		return path + below
	}
	return path + "." + below
}

// Each returns the errors that errors.Join put together in err, in order and
// however deep: none for nil, err itself if it was not made by errors.Join.
func Each(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || !isJoin(err, joined.Unwrap()) {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, Each(e)...)
	}
	return all
}

// isJoin tells an error of errors.Join, which says nothing of its own, from
// one of fmt.Errorf with several %w, whose own words must not be lost.
func isJoin(err error, parts []error) bool {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Error()
	}
	return err.Error() == strings.Join(texts, "\n")
}
