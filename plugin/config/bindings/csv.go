package bindings

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// readCSV yields the rows of a CSV file.
func readCSV(r io.Reader, yield func(Row, *rowError) bool) {
	src := newSource(r)
	c := csv.NewReader(src)
	// Up to the end of the last record: a quoted field may hold many lines, and
	// the reader counts each of them as used.
	var taken int64
	src.taken = func() int64 { return taken }
	c.Comment = '#'
	c.ReuseRecord = true
	c.TrimLeadingSpace = true

	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		yield(Row{}, fatal(rowErrorf(1, "is empty: the first row must name the columns")))
		return
	}
	if err != nil {
		yield(Row{}, fatal(csvError(err)))
		return
	}
	columns, err := csvColumns(header)
	if err != nil {
		line, _ := c.FieldPos(0)
		yield(Row{}, fatal(&rowError{line: line, err: err}))
		return
	}
	for {
		taken = c.InputOffset()
		next := src.lineAt(taken)
		record, err := c.Read()
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.Is(err, csv.ErrFieldCount):
			e := csvError(err)
			e.err = fmt.Errorf("%d columns where the first row has %d", len(record), len(columns))
			if !yield(Row{}, e) {
				return
			}
			continue
		case err != nil:
			e := csvError(err)
			e.line = cmp.Or(e.line, next)
			yield(Row{}, fatal(e))
			return
		}
		line, _ := c.FieldPos(0)
		row, bad := csvRow(line, columns, record)
		if !yield(row, bad) {
			return
		}
	}
}

// csvColumns checks the first row and returns its keys.
func csvColumns(header []string) ([]string, error) {
	columns := slices.Clone(header)
	for i, name := range columns {
		name = strings.TrimSpace(name)
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff") // spreadsheets write it
		}
		if _, known := numeric(name); !known {
			return nil, fmt.Errorf("column %.60q is unknown; the first row must name the columns: %s, %s, %s, %s, %s, %s",
				name, keyIPv4, keyIPv6Info, keyPSIDOffset, keyPSIDLen, keyPSID, keyBR)
		}
		if slices.Contains(columns[:i], name) {
			return nil, fmt.Errorf("column %s is there twice", name)
		}
		columns[i] = name
	}
	for _, key := range []string{keyIPv4, keyIPv6Info} {
		if !slices.Contains(columns, key) {
			return nil, fmt.Errorf("column %s is missing", key)
		}
	}
	return columns, nil
}

// csvRow reads one row. An empty field is a key that is not given.
func csvRow(line int, columns, record []string) (Row, *rowError) {
	var b builder
	for i, key := range columns {
		text := strings.TrimSpace(record[i])
		if text == "" {
			continue
		}
		if err := b.set(key, text); err != nil {
			return Row{}, &rowError{line: line, err: err}
		}
	}
	if err := b.missing(); err != nil {
		return Row{}, &rowError{line: line, err: err}
	}
	return Row{line, b.entry}, nil
}

// csvError takes the place out of the csv package's error.
func csvError(err error) *rowError {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return &rowError{line: p.Line, err: p.Err}
	}
	return &rowError{err: err}
}

func fatal(e *rowError) *rowError {
	e.fatal = true
	return e
}
