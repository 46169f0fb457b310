package reconcile

import (
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"batch-size":    func(c *Config) { c.BatchSize = 0 },
		"apply-timeout": func(c *Config) { c.ApplyTimeout = 0 },
		"read-timeout":  func(c *Config) { c.ReadTimeout = 2 * time.Hour },
		"retry-min":     func(c *Config) { c.RetryMin = time.Minute },
		"retry-max":     func(c *Config) { c.RetryMax = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			change(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name+": ") {
				t.Errorf("error %v, want one that names %s", err, name)
			}
			if _, err := New(c, softwire.NewTable(), dataplane.Network{}, fake.New(), quiet()); err == nil {
				t.Error("New takes it")
			}
		})
	}
}

func TestBackoffIsBounded(t *testing.T) {
	c := DefaultConfig()
	for attempts := 1; attempts < 200; attempts++ {
		if d := c.backoff(attempts); d < c.RetryMin/2 || d > c.RetryMax {
			t.Fatalf("pause %s after %d failures", d, attempts)
		}
	}
}
