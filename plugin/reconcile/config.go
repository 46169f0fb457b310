package reconcile

import (
	"errors"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is how a Reconciler drives its data plane.
type Config struct {
	// BatchSize is how many ops are sent at once.
	BatchSize int `yaml:"batch-size"`
	// ApplyTimeout bounds the wait for the answer to a batch.
	ApplyTimeout time.Duration `yaml:"apply-timeout"`
	// ReadTimeout bounds a read back of everything.
	ReadTimeout time.Duration `yaml:"read-timeout"`
	// RetryMin is the pause before the first retry. It doubles with each, up to
	// RetryMax; each pause is shortened at random by up to a half.
	RetryMin time.Duration `yaml:"retry-min"`
	RetryMax time.Duration `yaml:"retry-max"`
}

// DefaultConfig suits tables of up to millions of softwires.
func DefaultConfig() Config {
	return Config{
		BatchSize:    4096,
		ApplyTimeout: 2 * time.Minute,
		ReadTimeout:  2 * time.Minute,
		RetryMin:     100 * time.Millisecond,
		RetryMax:     30 * time.Second,
	}
}

// Validate reports every value that is out of range, by its element.
func (c Config) Validate() error {
	var errs []error
	if c.BatchSize < 1 || c.BatchSize > 65536 {
		errs = append(errs, element.Errorf("batch-size", "%d: must be 1 to 65536", c.BatchSize))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"apply-timeout", c.ApplyTimeout},
		{"read-timeout", c.ReadTimeout},
		{"retry-min", c.RetryMin},
		{"retry-max", c.RetryMax},
	} {
		if d.value < time.Millisecond || d.value > time.Hour {
			errs = append(errs, element.Errorf(d.name, "%s: must be 1ms to 1h", d.value))
		}
	}
	if c.RetryMin > c.RetryMax {
		errs = append(errs, element.Errorf("retry-min", "%s: must not exceed retry-max (%s)", c.RetryMin, c.RetryMax))
	}
	return errors.Join(errs...)
}
