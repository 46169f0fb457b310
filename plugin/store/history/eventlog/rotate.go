package eventlog

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rotate renames the file after its last event and begins a new one.
func (l *Log) rotate() error {
	if err := os.Rename(l.config.Path, l.config.Path+l.last.suffix()); err != nil {
		return err
	}
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return err
	}
	if err := l.reopen(); err != nil {
		return err
	}
	return l.prune()
}

// prune removes the files that are too old or too many. Age is measured by the
// time of the last event.
func (l *Log) prune() error {
	names, err := l.files()
	if err != nil {
		return err
	}
	for i, f := range names {
		many := l.config.MaxFiles > 0 && len(names)-i > l.config.MaxFiles
		old := l.config.MaxAge > 0 && l.last.time.Sub(f.mark.time) > l.config.MaxAge
		if many || old {
			if err := os.Remove(f.path); err != nil {
				return err
			}
		}
	}
	return nil
}

// rotated is the last event in files that were rotated.
func (l *Log) rotated() (mark, error) {
	files, err := l.files()
	if err != nil || len(files) == 0 {
		return mark{}, err
	}
	return files[len(files)-1].mark, nil
}

// oldFile is one that was rotated.
type oldFile struct {
	path string
	mark mark
}

// files are those that were rotated, the oldest first.
func (l *Log) files() ([]oldFile, error) {
	folder, name := filepath.Split(l.config.Path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var all []oldFile
	for _, e := range entries {
		if suffix, ok := strings.CutPrefix(e.Name(), name); ok {
			if m, ok := parseSuffix(suffix); ok {
				all = append(all, oldFile{filepath.Join(folder, e.Name()), m})
			}
		}
	}
	slices.SortFunc(all, func(a, b oldFile) int { return cmp.Compare(a.mark.sequence, b.mark.sequence) })
	return all, nil
}

const suffixTime = "20060102T150405Z"

// suffix is what the name of a file gets whose last event this is, for example
// .20260305T140307Z-1234.
func (m mark) suffix() string {
	return fmt.Sprintf(".%s-%d", m.time.UTC().Format(suffixTime), m.sequence)
}

func parseSuffix(text string) (m mark, ok bool) {
	at, sequence, _ := strings.Cut(strings.TrimPrefix(text, "."), "-")
	var errTime, errSequence error
	m.time, errTime = time.Parse(suffixTime, at)
	m.sequence, errSequence = strconv.ParseUint(sequence, 10, 64)
	return m, errTime == nil && errSequence == nil && m.suffix() == text
}

// syncFolder makes durable which files are beside path.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
