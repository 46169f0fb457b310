package bindings

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Read calls yield with each row of a file and its problem if it has one, until
// yield returns false or nothing more can be read. file stands in the errors.
func Read(file string, r io.Reader, format Format, yield func(Row, error) bool) {
	each := func(row Row, bad *rowError) bool {
		if bad == nil {
			return yield(row, nil)
		}
		return yield(row, locate(file, bad.line, bad.err)) && !bad.fatal
	}
	switch format {
	case JSON:
		readJSON(r, each)
	case CSV:
		readCSV(r, each)
	case YAML:
		readYAML(r, each)
	default:
		yield(Row{}, config.Errors{{File: file, Err: fmt.Errorf("unknown format %q", format)}})
	}
}

// Progress says how far Load is.
type Progress struct {
	File  string // being read
	Rows  int    // read from it so far
	Bytes int64  // read from it so far
	Size  int64  // of it; 0 if that is not known
	Total int    // softwires from everything so far
}

// Loader makes a table from a Config.
type Loader struct {
	// Pools are where addresses belong.
	Pools *pool.Index
	// Folder is what the paths of files are relative to.
	Folder string
	// Progress, if set, is called after every ProgressRows rows and at the end
	// of each file.
	Progress func(Progress)
}

// Limits of a Loader.
const (
	ProgressRows = 100_000
	batchRows    = 4096
	maxRows      = 1 << 24 // softwires in one table
	maxBad       = 100     // errors after which it gives up
)

// Load returns a new table with all softwires of c. The error is that of ctx,
// or has everything that is wrong: of package element for what stands in c, and
// config.Errors for what stands in its files.
func (l Loader) Load(ctx context.Context, c Config) (*softwire.Table, error) {
	b := batch{table: softwire.NewTable()}
	for i, e := range c.Static {
		b.at = append(b.at, func(err error) error { return element.At(element.Item("static", i), err) })
		s, err := e.Softwire(l.Pools)
		b.add(s, err)
	}
	b.flush()
	for i, f := range c.Files {
		at := element.Item("files", i)
		format, err := f.format()
		if err != nil {
			b.fail(element.At(at+".format", err))
			continue
		}
		if err := l.file(ctx, &b, f.Path, format); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			b.fail(element.At(at+".path", fmt.Errorf("%s: %w", f.Path, err)))
		}
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	return b.table, nil
}

// file adds the softwires of one file. The error is one of reading it as a
// whole; what is wrong with its rows goes to b.
func (l Loader) file(ctx context.Context, b *batch, path string, format Format) error {
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.Folder, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return config.Cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return config.Cause(err)
	}
	if info.IsDir() {
		return errors.New("is a directory")
	}
	in := &counted{r: f}
	p := Progress{File: path, Size: info.Size()}
	Read(path, bufio.NewReaderSize(in, 256<<10), format, func(row Row, err error) bool {
		if err != nil {
			b.fail(err)
			return len(b.errs) < maxBad
		}
		line := row.Line
		b.at = append(b.at, func(err error) error { return locate(path, line, err) })
		s, err := row.Entry.Softwire(l.Pools)
		b.add(s, err)
		if p.Rows++; p.Rows%ProgressRows == 0 {
			l.report(p, in, b)
		}
		if len(b.put) == batchRows {
			b.flush()
		}
		return len(b.errs) < maxBad && ctx.Err() == nil
	})
	b.flush()
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.Rows == 0 || p.Rows%ProgressRows != 0 {
		l.report(p, in, b)
	}
	return nil
}

func (l Loader) report(p Progress, in *counted, b *batch) {
	if l.Progress == nil {
		return
	}
	p.Bytes, p.Total = in.n, b.total
	l.Progress(p)
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
