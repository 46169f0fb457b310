package eventlog

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is where the log is and how much of it is kept.
type Config struct {
	// Path is the absolute path of the file; empty for no log.
	Path string `yaml:"path"`
	// MaxSize is the size in MiB at which a new file is begun.
	MaxSize int `yaml:"max-size"`
	// MaxAge is how long a file is kept after its last event, MaxFiles how many
	// there are besides the current one; 0 is no limit.
	MaxAge   time.Duration `yaml:"max-age"`
	MaxFiles int           `yaml:"max-files"`
}

// DefaultConfig is the Config of an operator who says nothing.
func DefaultConfig() Config { return Config{MaxSize: 100, MaxFiles: 10} }

// maxMaxSize is the largest MaxSize, a TiB.
const maxMaxSize = 1 << 20

// Validate reports what is wrong with c, with elements (package element).
func (c Config) Validate() error {
	var errs []error
	if c.Path != "" && (!filepath.IsAbs(c.Path) || filepath.Clean(c.Path) != c.Path) {
		errs = append(errs, element.Errorf("path", "%q is not an absolute, clean path", c.Path))
	}
	if c.MaxSize < 1 || c.MaxSize > maxMaxSize {
		errs = append(errs, element.Errorf("max-size", "%d MiB is not in 1 to %d", c.MaxSize, maxMaxSize))
	}
	if c.MaxAge < 0 {
		errs = append(errs, element.Errorf("max-age", "%s is negative", c.MaxAge))
	}
	if c.MaxFiles < 0 {
		errs = append(errs, element.Errorf("max-files", "%d is negative", c.MaxFiles))
	}
	return errors.Join(errs...)
}
