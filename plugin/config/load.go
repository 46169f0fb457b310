package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// MaxSize is the largest file in bytes that Load reads.
const MaxSize = 4 << 20

// Validator is implemented by what Load fills. Its errors are those of package
// element, joined by errors.Join, and get file and line added.
type Validator interface{ Validate() error }

// Load reads the file at path onto into, a pointer to a struct that holds the
// defaults, and validates it if it is a Validator. The error is Errors, with
// everything that is wrong with the file; into is then not to be used.
func Load(path string, into any) (*Document, error) {
	data, err := read(path)
	if err != nil {
		return nil, Errors{{File: path, Err: err}}
	}
	return Parse(path, data, into)
}

// Parse is Load for data that was read already; file stands in its errors.
func Parse(file string, data []byte, into any) (*Document, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, Errors{{File: file, Err: fmt.Errorf("cannot be read into a %T: want a pointer to a struct", into)}}
	}
	if len(data) > MaxSize {
		return nil, Errors{{File: file, Err: errTooLarge}}
	}
	root, errs := parseYAML(file, data)
	if root == nil {
		return nil, errs.sorted()
	}
	d := decoder{file: file, errs: errs}
	switch root.kind {
	case refused:
	case empty, mapping:
		// An empty file lacks what is required.
		d.fields(root, v.Elem(), "", 0)
	default:
		d.fail(root.line, "", fmt.Errorf("is %s where %s is expected", root.kind, mapping))
	}
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	doc := &Document{file, root}
	if check, ok := into.(Validator); ok {
		if err := check.Validate(); err != nil {
			return nil, doc.Locate(err)
		}
	}
	return doc, nil
}

// Document remembers where the elements of a file stand, for errors that are
// found after it was read.
type Document struct {
	file string
	root *node
}

// Lookup returns where the element at path stands and, if it is a single value,
// its text. It reports false for what the file does not mention.
func (d *Document) Lookup(path string) (line int, text string, ok bool) {
	n := d.root
	for n != nil && path != "" {
		step, rest := cutPath(path)
		n, path = n.step(step, &line), rest
	}
	if n == nil {
		return 0, "", false
	}
	return line, n.text, true
}

// Locate turns an error with elements (see package element) into Errors with
// file and line. What is Errors or Error already keeps its place. Locate of nil
// is nil.
func (d *Document) Locate(err error) error {
	var errs Errors
	for _, e := range element.Each(err) {
		switch e := e.(type) {
		case *Error:
			errs = append(errs, e)
		case *element.Error:
			errs = append(errs, &Error{d.file, d.root.lineOf(e.Path), e.Path, e.Err})
		default:
			errs = append(errs, &Error{File: d.file, Err: e})
		}
	}
	return errs.sorted()
}

var errTooLarge = fmt.Errorf("is larger than %d bytes", MaxSize)

// read reads a regular file of bounded size.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, Cause(err)
	}
	if info.IsDir() {
		return nil, errors.New("is a directory")
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, Cause(err)
	}
	if len(data) > MaxSize {
		return nil, errTooLarge
	}
	return data, nil
}

// Cause is err without the operation and path that package os puts in front,
// for messages that name the file already.
func Cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
