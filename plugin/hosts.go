package plugin

import (
	"context"
	"errors"
	"time"
)

// How long a host is kept waiting by the calls that have no context. Reading
// millions of softwires takes seconds, a read back of VPP up to minutes.
const (
	initTimeout  = 10 * time.Minute
	closeTimeout = time.Minute
)

// String is Name, for hosts that print their plugins.
func (p *Plugin) String() string { return p.name }

// Init is Start for hosts whose lifecycle is Init, AfterInit and Close. Its
// errors are those of Start.
func (p *Plugin) Init() error {
	ctx, cancel := context.WithTimeout(context.Background(), initTimeout)
	defer cancel()
	return p.Start(ctx)
}

// AfterInit is called when all plugins of the host have been through Init. The
// error wraps ErrNotRunning if the router was not started, or has ended since,
// and then also what Err says.
func (p *Plugin) AfterInit() error {
	if _, err := p.present(); err != nil {
		return errors.Join(err, p.Err())
	}
	return nil
}

// Close is Stop for such hosts. Its errors are those of Stop.
func (p *Plugin) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return p.Stop(ctx)
}
