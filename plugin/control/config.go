package control

import (
	"errors"
	"path/filepath"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is where the control API is, and how much it takes.
type Config struct {
	// Socket is the absolute path; empty for no control socket.
	Socket string `yaml:"socket"`
	// Group is the name or number of the group that may connect besides root;
	// empty for the process's own.
	Group string `yaml:"group"`
	// Listen is where the API is on TCP besides; nil for nowhere.
	Listen *TLSConfig `yaml:"listen"`
	// Rate is how many requests are taken in a second, from all together, and
	// how many at once.
	Rate int `yaml:"rate"`
}

// DefaultConfig is the Config of an operator who says nothing.
func DefaultConfig() Config {
	return Config{Socket: "/run/lw4o6/control.sock", Rate: 20_000}
}

// maxSocketPath bounds the path's length in bytes: a unix socket address holds
// 108 with its end, and the socket is made under a longer name first.
const maxSocketPath = 107 - len(newSuffix)

// Enabled reports whether there is a control API at all.
func (c Config) Enabled() bool { return c.Socket != "" || c.Listen != nil }

const maxRate = 1_000_000

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
	if c.Listen != nil {
		errs = append(errs, element.At("listen", c.Listen.Validate()))
	}
	if c.Rate < 1 || c.Rate > maxRate {
		errs = append(errs, element.Errorf("rate", "%d is not in 1 to %d", c.Rate, maxRate))
	}
	return errors.Join(errs...)
}
