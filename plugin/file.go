package plugin

import (
	"context"
	"errors"
	"net"
	"path/filepath"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// File is a Config that was read from a file.
type File struct {
	Path   string
	Config Config
	doc    *config.Document
}

// LoadFile reads and validates the configuration file at path. The error is
// config.Errors. Files with softwires that it names are not read yet.
func LoadFile(path string) (*File, error) {
	f := &File{Path: path, Config: DefaultConfig()}
	doc, err := config.Load(path, &f.Config)
	if err != nil {
		return nil, err
	}
	f.doc = doc
	return f, nil
}

// Folder is what relative paths in the Config are relative to.
func (f *File) Folder() string { return filepath.Dir(f.Path) }

// Locate adds file and line to the errors of a *ConfigError that a Plugin made
// from f's Config returned. Other errors are returned as they are.
func (f *File) Locate(err error) error {
	var bad *ConfigError
	if !errors.As(err, &bad) {
		return err
	}
	return f.doc.Locate(bad.Err)
}

// Check reads the files of softwires that f names and reports everything that
// is wrong with them and with f as a whole, or ctx's error. It returns the table
// that a router would start with.
func (f *File) Check(ctx context.Context, progress func(bindings.Progress)) (*softwire.Table, error) {
	t, err := loadTable(ctx, f.Config, f.Folder(), progress)
	return t, f.Locate(err)
}

// CheckNames looks up the names that f tells clients, and reports those that are not
// what they should be.
func (f *File) CheckNames(ctx context.Context) error {
	if err := server.CheckNames(ctx, f.Config.DHCPv6.Pools, net.DefaultResolver.LookupNetIP); err != nil {
		return f.Locate(&ConfigError{element.At("dhcpv6", err)})
	}
	return nil
}

// loadTable reads all softwires of c, whose files are relative to folder, into
// a new table. The error is a *ConfigError or that of ctx.
func loadTable(ctx context.Context, c Config, folder string, progress func(bindings.Progress)) (*softwire.Table, error) {
	loader := bindings.Loader{Pools: c.Pools.Index(), Folder: folder, Progress: progress}
	t, err := loader.Load(ctx, c.Softwires)
	switch {
	case err == nil:
		return t, c.Dataplane.carries(t.Snapshot())
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, err
	}
	var errs []error
	for _, e := range element.Each(err) {
		// What is wrong inside a file of softwires has its place there.
		if _, placed := e.(*config.Error); !placed {
			e = element.At("softwires", e)
		}
		errs = append(errs, e)
	}
	return nil, &ConfigError{errors.Join(errs...)}
}
