package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Change is what a reload changed.
type Change struct {
	Put      int      // softwires added or changed
	Removed  int      // softwires
	Settings []string // elements of the Config besides
}

// Reload makes the running router do what c says, without interrupting what
// stays. It is all or nothing: after an error the router does what it did
// before. It returns when the change is decided; that the data plane follows is
// what Stats shows.
//
// The error is a *ConfigError if c cannot be used, or has an element that cannot
// change while the router runs; it wraps ErrNotRunning or is ctx's otherwise.
func (p *Plugin) Reload(ctx context.Context, c Config) (Change, error) {
	run, done, err := p.reconfigure(ctx)
	if err != nil {
		return Change{}, err
	}
	defer done()
	before, added := p.wanted()
	changed := config.Changed(before, c)
	if err := p.changeable(changed); err != nil {
		return Change{}, &ConfigError{err}
	}
	diff, err := p.apply(ctx, run, before.with(added), c.with(added))
	if err != nil {
		return Change{}, err
	}
	if touches(changed, "log") {
		p.logConfig(c.Log)
	}
	p.mu.Lock()
	p.config = c
	p.mu.Unlock()

	change := Change{Put: len(diff.Put), Removed: len(diff.Remove)}
	for _, at := range changed {
		if !touches([]string{at}, "softwires") {
			change.Settings = append(change.Settings, at)
		}
	}
	p.log.WithField("put", change.Put).WithField("removed", change.Removed).WithField("settings", change.Settings).Info("reloaded")
	return change, nil
}

// reconfigure begins a change of what the running router does; there is one at a
// time, until done is called. The error wraps ErrNotRunning or is ctx's.
func (p *Plugin) reconfigure(ctx context.Context) (run *running, done func(), err error) {
	select {
	case p.reloading <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("another reload is under way: %w", ctx.Err())
	}
	done = func() { <-p.reloading }
	if run, err = p.present(); err != nil {
		done()
		return nil, nil, err
	}
	return run, done, nil
}

// wanted returns the configuration, and the pools that were added besides.
func (p *Plugin) wanted() (Config, pool.Pools) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config, p.added
}

// apply makes the router do what c says in place of before. It is all or
// nothing.
func (p *Plugin) apply(ctx context.Context, run *running, before, c Config) (softwire.Change, error) {
	if err := c.Validate(); err != nil {
		return softwire.Change{}, &ConfigError{err}
	}
	table, err := p.load(ctx, c)
	if err != nil {
		return softwire.Change{}, err
	}
	changed := config.Changed(before, c)
	if err := p.tune(changed, c); err != nil {
		return softwire.Change{}, &ConfigError{element.At("dataplane", err)}
	}
	present := run.networkOf(before, run.table.Snapshot())
	run.network.widen(run.networkOf(c, table.Snapshot()))
	diff, err := run.replace(c.Pools, table.Snapshot())
	if err != nil {
		run.network.settle(present, nil)
		return softwire.Change{}, errors.Join(err, p.tune(changed, before))
	}
	run.network.settle(run.networkOf(c, table.Snapshot()), diff.Remove)
	run.announceAs(c)
	return diff, nil
}

// tune gives the data plane the settings of c, if any of changed are its.
func (p *Plugin) tune(changed []string, c Config) error {
	if tuner, ok := p.dp.(Tuner); ok && touches(changed, "dataplane") {
		return tuner.Tune(c.Dataplane)
	}
	return nil
}

// changeable reports every changed element that the router only takes when it
// starts.
func (p *Plugin) changeable(changed []string) error {
	fixed := []string{"store", "history", "dataplane.type", "dataplane.reconcile", "pcp", "dhcpv6", "control", "metrics"}
	fixed = append(fixed, fixedBGP()...)
	if tuner, ok := p.dp.(Tuner); ok {
		for _, at := range tuner.Fixed() {
			fixed = append(fixed, element.Join("dataplane", at))
		}
	} else {
		fixed = append(fixed, "dataplane")
	}
	var errs []error
	for _, at := range changed {
		if slices.ContainsFunc(fixed, func(f string) bool { return touches([]string{at}, f) }) {
			errs = append(errs, element.Errorf(at, "cannot change while the router runs; restart it"))
		}
	}
	return errors.Join(errs...)
}

// touches reports whether any of paths is the element at or below it.
func touches(paths []string, at string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		rest, ok := strings.CutPrefix(p, at)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// ReloadFile reads the file that the Config came from (see WithFile) again and
// reloads. What is wrong with it is config.Errors.
func (p *Plugin) ReloadFile(ctx context.Context) (Change, error) {
	if p.file == "" {
		return Change{}, fmt.Errorf("%s has no file to read its configuration from", p.name)
	}
	f, err := LoadFile(p.file)
	if err != nil {
		return Change{}, err
	}
	change, err := p.Reload(ctx, f.Config)
	if err != nil {
		return Change{}, f.Locate(err)
	}
	return change, nil
}

// SetLogLevel changes what is logged, until the next start or a reload with
// another log section. The error is a *ConfigError.
func (p *Plugin) SetLogLevel(level string) error {
	c, _ := p.wanted()
	c.Log.Level = level
	if err := c.Log.Validate(); err != nil {
		return &ConfigError{err}
	}
	p.logConfig(c.Log)
	return nil
}
