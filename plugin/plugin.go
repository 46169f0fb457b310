package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/bgp/feed"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/listen"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// Errors of the lifecycle.
var (
	// ErrStarted reports a second Start.
	ErrStarted = errors.New("was started before; make a new one to start again")
	// ErrNotRunning reports a call that needs a running Plugin.
	ErrNotRunning = errors.New("is not running")
	// errEnded is why a part has failed that ended without an error.
	errEnded = errors.New("ended unexpectedly")
)

// Plugin is the router. Its methods may be called from several goroutines.
type Plugin struct {
	options
	dp dataplane.Dataplane

	ready chan struct{}
	done  chan struct{} // closed when everything that Start started has ended
	stop  chan struct{} // closed by the first Stop
	// reloading holds a token while a reload is under way.
	reloading chan struct{}

	mu      sync.Mutex
	state   state
	config  Config
	added   pool.Pools // besides those of config, while it runs; see pools.go
	running *running   // nil before the end of a successful Start
	err     error      // why it ended by itself
	// cancelStart ends a Start that is under way.
	cancelStart context.CancelFunc
}

// state is where in its life a Plugin is. It only grows.
type state uint8

const (
	stateNew state = iota
	stateStarting
	stateRunning
	stateStopping
	stateStopped
)

// running is what a successful Start made.
type running struct {
	table   *softwire.Table
	rec     *reconcile.Reconciler
	store   *bolt.Store // nil without leases
	network *networks
	leases  *provision.Provisioner // nil without a store
	history *history.Log           // the same
	pcp     *pcp.Server            // nil if it is not enabled
	dhcpv6  *server.Server         // the same
	epoch   *pcpEpoch              // the same
	scrapes http.Handler           // of metrics
	// speakers and gate are nil without peers.
	speakers Speakers
	gate     *announce.Gate
	since    time.Time
}

// New composes a router that will do what c says. It opens and starts nothing.
// The error is a *ConfigError if c does not pass Validate, or that of making the
// data plane.
func New(c Config, opts ...Option) (*Plugin, error) {
	if err := c.Validate(); err != nil {
		return nil, &ConfigError{err}
	}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	o := options{
		name: "lw4o6", log: quiet, now: time.Now,
		logConfig: func(LogConfig) {},
		dataplane: newDataplane,
		listen:    control.Listen,
		speakers:  newSpeakers(feed.Program{}),

		dhcpv6Port: listen.Port,
	}
	for _, opt := range opts {
		opt(&o)
	}
	dp, err := o.dataplane(c.Dataplane, o.log)
	if err != nil {
		return nil, fmt.Errorf("data plane: %w", err)
	}
	return &Plugin{
		options:   o,
		dp:        dp,
		config:    c,
		ready:     make(chan struct{}),
		done:      make(chan struct{}),
		stop:      make(chan struct{}),
		reloading: make(chan struct{}, 1),
	}, nil
}

// Name is constant and names the router to a host.
func (p *Plugin) Name() string { return p.name }

// Ready is closed once everything that should be programmed has been programmed
// or refused for the first time.
func (p *Plugin) Ready() <-chan struct{} { return p.ready }

// Done is closed when the router has ended after it was started: because of
// Stop, or by itself, see Err.
func (p *Plugin) Done() <-chan struct{} { return p.done }

// Err is why the router ended by itself; nil if it did not.
func (p *Plugin) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// present returns what runs. The error wraps ErrNotRunning.
func (p *Plugin) present() (*running, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateRunning {
		return nil, fmt.Errorf("%s %w", p.name, ErrNotRunning)
	}
	return p.running, nil
}
