package bindings

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Config is the softwires that are there from the start.
type Config struct {
	Static []Entry `yaml:"static"`
	Files  []File  `yaml:"files"`
}

// File is a file of softwires.
type File struct {
	// Path is relative to the folder of the configuration's file.
	Path string `yaml:"path" config:"required"`
	// Format is by the path's extension where it is empty.
	Format Format `yaml:"format"`
}

// Format is how a file of softwires is written.
type Format string

// The formats of package bindings.
const (
	JSON Format = "json"
	CSV  Format = "csv"
	YAML Format = "yaml"
)

// UnmarshalText accepts json, csv and yaml.
func (f *Format) UnmarshalText(text []byte) error {
	switch Format(text) {
	case JSON, CSV, YAML:
		*f = Format(text)
		return nil
	}
	return fmt.Errorf("%.60q is neither json, csv nor yaml", text)
}

// format is what f says or what its extension says.
func (f File) format() (Format, error) {
	if f.Format != "" {
		var checked Format
		err := checked.UnmarshalText([]byte(f.Format))
		return checked, err
	}
	switch strings.ToLower(filepath.Ext(f.Path)) {
	case ".json":
		return JSON, nil
	case ".csv":
		return CSV, nil
	case ".yaml", ".yml":
		return YAML, nil
	}
	return "", fmt.Errorf("is needed: the extension of %.60q is neither .json, .csv, .yaml nor .yml", f.Path)
}

const maxFiles = 256

// Validate reports what is wrong with c among pools, without reading its files.
// The errors have elements (package element).
func (c Config) Validate(pools *pool.Index) error {
	var errs []error
	table := softwire.NewTable()
	for i, e := range c.Static {
		at := element.Item("static", i)
		s, err := e.Softwire(pools)
		if err == nil {
			err = addNew(table, s)
		}
		if err != nil {
			errs = append(errs, element.At(at, err))
		}
	}
	if len(c.Files) > maxFiles {
		errs = append(errs, element.Errorf("files", "%d files; at most %d are allowed", len(c.Files), maxFiles))
	}
	for i, f := range c.Files {
		at := element.Item("files", i)
		if f.Path == "" {
			errs = append(errs, element.Errorf(at+".path", "is empty"))
		} else if _, err := f.format(); err != nil {
			errs = append(errs, element.At(at+".format", err))
		}
	}
	return errors.Join(errs...)
}

// addNew puts one softwire that the table does not have.
func addNew(table *softwire.Table, s softwire.Softwire) error {
	if old, ok := table.Snapshot().Get(s.Key()); ok {
		return fmt.Errorf("%w: %s is there already as %s", softwire.ErrConflict, s, old)
	}
	return table.Apply(softwire.Change{Put: []softwire.Softwire{s}})
}
