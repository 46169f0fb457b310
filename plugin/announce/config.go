package announce

import (
	"errors"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Config is which routes there are, and when they are announced.
type Config struct {
	// Aggregates are announced in place of the prefixes of pools and of the BR
	// addresses that are in them.
	Aggregates []netip.Prefix `yaml:"aggregates"`
	// Blackhole are single addresses of pools whose packets peers should discard.
	Blackhole BlackholeConfig `yaml:"blackhole"`
	GateConfig
}

// BlackholeConfig asks peers to discard what is for single addresses (RFC 7999).
type BlackholeConfig struct {
	// Enabled has to be set: each address is that of many subscribers.
	Enabled   bool         `yaml:"enabled"`
	Addresses []netip.Addr `yaml:"addresses"`
}

// GateConfig is when routes come and go.
type GateConfig struct {
	// StateFile is the absolute path of the file that keeps drains and holds over
	// a restart.
	StateFile string `yaml:"state-file"`
	// StartWait is how long routes of an earlier run stay before the data plane
	// has been verified.
	StartWait time.Duration `yaml:"start-wait"`
	// HoldDown is how long a pool must have been good before it is announced
	// again. It doubles with each withdrawal, up to MaxHoldDown, and is the first
	// again once a pool was announced for FlapWindow.
	HoldDown    time.Duration `yaml:"hold-down"`
	MaxHoldDown time.Duration `yaml:"max-hold-down"`
	// FlapLimit is how often in FlapWindow a pool is announced again without an
	// operator; 0 is no limit.
	FlapLimit  int           `yaml:"flap-limit"`
	FlapWindow time.Duration `yaml:"flap-window"`
	// MaxUnprogrammed is the share of a pool's softwires in percent that may be
	// missing in the data plane for longer than UnprogrammedFor.
	MaxUnprogrammed int           `yaml:"max-unprogrammed"`
	UnprogrammedFor time.Duration `yaml:"unprogrammed-for"`
	// LagAlarm is how old a change may get before it is an alarm.
	LagAlarm time.Duration `yaml:"lag-alarm"`
	Drain    DrainConfig   `yaml:"drain"`
}

// DrainConfig is when the routes of a pool that drains are withdrawn: when its
// traffic has fallen, but not before Min, and after Max in any case.
type DrainConfig struct {
	Min time.Duration `yaml:"min"`
	Max time.Duration `yaml:"max"`
	// Idle is what traffic has fallen to, in packets per second of a pool.
	Idle int `yaml:"idle"`
}

// DefaultConfig withdraws at once and comes back slowly.
func DefaultConfig() Config {
	return Config{GateConfig: GateConfig{
		StartWait: time.Minute,
		HoldDown:  10 * time.Second, MaxHoldDown: 5 * time.Minute,
		FlapLimit: 2, FlapWindow: 15 * time.Minute,
		MaxUnprogrammed: 5, UnprogrammedFor: 30 * time.Second,
		LagAlarm: 30 * time.Second,
		Drain:    DrainConfig{Min: 30 * time.Second, Max: 5 * time.Minute, Idle: 10},
	}}
}

// Validate reports what is wrong with c by itself. Whether it goes with the
// pools is what Routes says.
func (c Config) Validate() error {
	var errs []error
	for key, n := range map[string]int{"aggregates": len(c.Aggregates), "blackhole.addresses": len(c.Blackhole.Addresses)} {
		if n > MaxRoutes {
			return element.Errorf(key, "%d items; at most %d are allowed", n, MaxRoutes)
		}
	}
	for i, p := range c.Aggregates {
		at := element.Item("aggregates", i)
		if !p.IsValid() || p != p.Masked() {
			errs = append(errs, element.Errorf(at, "%s has bits set beyond its length; did you mean %s?", p, p.Masked()))
		}
		for _, other := range c.Aggregates[:i] {
			if p.Overlaps(other) {
				errs = append(errs, element.Errorf(at, "%s overlaps %s: announce one of them", p, other))
			}
		}
	}
	if len(c.Blackhole.Addresses) > 0 && !c.Blackhole.Enabled {
		errs = append(errs, element.Errorf("blackhole.addresses", "an address is that of many subscribers, who all go without: set blackhole.enabled if you mean it"))
	}
	return errors.Join(append(errs, c.GateConfig.Validate())...)
}

// Validate reports every value that is out of range, by its element.
func (c GateConfig) Validate() error {
	var errs []error
	if c.StateFile != "" && (!filepath.IsAbs(c.StateFile) || filepath.Clean(c.StateFile) != c.StateFile) {
		errs = append(errs, element.Errorf("state-file", "%q is not an absolute, clean path", c.StateFile))
	}
	for _, d := range []struct {
		key           string
		value, lowest time.Duration
	}{
		{"start-wait", c.StartWait, time.Second},
		{"hold-down", c.HoldDown, 0},
		{"max-hold-down", c.MaxHoldDown, c.HoldDown},
		{"flap-window", c.FlapWindow, time.Second},
		{"unprogrammed-for", c.UnprogrammedFor, 0},
		{"lag-alarm", c.LagAlarm, time.Second},
		{"drain.min", c.Drain.Min, 0},
		{"drain.max", c.Drain.Max, c.Drain.Min},
	} {
		if d.value < d.lowest || d.value > 24*time.Hour {
			errs = append(errs, element.Errorf(d.key, "%s: must be %s to 24h", d.value, d.lowest))
		}
	}
	for _, n := range []struct {
		key            string
		value, highest int
	}{
		{"flap-limit", c.FlapLimit, 100},
		{"max-unprogrammed", c.MaxUnprogrammed, 100},
		{"drain.idle", c.Drain.Idle, 1_000_000_000},
	} {
		if n.value < 0 || n.value > n.highest {
			errs = append(errs, element.Errorf(n.key, "%d: must be 0 to %d", n.value, n.highest))
		}
	}
	return errors.Join(errs...)
}
