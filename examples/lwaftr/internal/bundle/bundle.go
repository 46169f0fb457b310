// Package bundle owns the file that an operator sends to whoever helps: which
// parts it has, that one which cannot be had does not keep the others from being
// there, and what is taken out of them before they leave the machine.
package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Part is one file of a bundle.
type Part struct {
	Name string // in the bundle
	// Get writes what the file holds. After an error the bundle has what was
	// written before, and the error in its file "missing".
	Get func(ctx context.Context, w io.Writer) error
}

// maxPart bounds a part, in bytes; the rest of it is left out.
const maxPart = 32 << 20

// missingName is the file with what could not be had.
const missingName = "missing"

// Write writes a gzipped tar archive with all parts, each as clean returns it, and
// returns the names of those that are not whole. folder is the folder in it.
func Write(ctx context.Context, w io.Writer, folder string, now time.Time, parts []Part, clean func(string) string) (missing []string, err error) {
	compressed := gzip.NewWriter(w)
	archive := tar.NewWriter(compressed)
	add := func(name, text string) error {
		head := &tar.Header{Name: folder + "/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: now, Format: tar.FormatPAX}
		if err := archive.WriteHeader(head); err != nil {
			return err
		}
		_, err := io.WriteString(archive, text)
		return err
	}
	var reasons bytes.Buffer
	for _, p := range parts {
		part := &limited{left: maxPart}
		if err := p.Get(ctx, part); err != nil {
			missing = append(missing, p.Name)
			fmt.Fprintf(&reasons, "%s: %v\n", p.Name, err)
		}
		if err := add(p.Name, clean(part.text.String())); err != nil {
			return missing, err
		}
	}
	if reasons.Len() > 0 {
		if err := add(missingName, clean(reasons.String())); err != nil {
			return missing, err
		}
	}
	return missing, errors.Join(archive.Close(), compressed.Close())
}

var errTooLong = errors.New("is too long; the end of it is missing")

// limited keeps the beginning of what is written to it.
type limited struct {
	text bytes.Buffer
	left int
}

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	l.text.Write(b[:n])
	if n < len(b) {
		return n, errTooLong
	}
	return n, nil
}
