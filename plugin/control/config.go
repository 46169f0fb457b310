package control

import (
	"errors"
	"path/filepath"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is where the control socket is.
type Config struct {
	// Socket is the absolute path; empty for no control socket.
	Socket string `yaml:"socket"`
	// Group is the name or number of the group that may connect besides root;
	// empty for the process's own.
	Group string `yaml:"group"`
}

// DefaultConfig is the Config of an operator who says nothing.
func DefaultConfig() Config { return Config{Socket: "/run/lw4o6/control.sock"} }

// maxSocketPath bounds the path's length in bytes: a unix socket address holds
// 108 with its end, and the socket is made under a longer name first.
const maxSocketPath = 107 - len(newSuffix)

// Validate reports what is wrong with c, with elements (package element).
func (c Config) Validate() error {
	var errs []error
	switch {
	case c.Socket == "":
		if c.Group != "" {
			errs = append(errs, element.Errorf("group", "is there without a socket"))
		}
	case !filepath.IsAbs(c.Socket) || filepath.Clean(c.Socket) != c.Socket:
		errs = append(errs, element.Errorf("socket", "%q is not an absolute, clean path", c.Socket))
	case len(c.Socket) > maxSocketPath:
		errs = append(errs, element.Errorf("socket", "is %d bytes long; a unix socket's path has at most %d", len(c.Socket), maxSocketPath))
	}
	return errors.Join(errs...)
}
