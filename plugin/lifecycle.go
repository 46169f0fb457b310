package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Start starts everything and returns. It can be called once; a Start that
// fails leaves nothing running and nothing open. ctx bounds the start only: what
// was started runs until Stop.
//
// The error wraps ErrStarted, is a *ConfigError if binding tables cannot be
// read or leave no place for leases, or says which step failed.
func (p *Plugin) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	if p.state != stateNew {
		p.mu.Unlock()
		return fmt.Errorf("%s %w", p.name, ErrStarted)
	}
	p.state = stateStarting
	p.cancelStart = cancel
	p.mu.Unlock()

	r := newRunner()
	running, err := p.start(ctx, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.state == stateStopping {
		err = errors.New("stopped while it started")
	}
	if err != nil {
		r.stop()
		p.state = stateStopped
		close(p.done)
		return err
	}
	p.state, p.running = stateRunning, running
	// The one goroutine that ends everything, for whatever reason.
	go p.supervise(r)
	return nil
}

// start does the steps of Start. After an error the caller stops r.
func (p *Plugin) start(ctx context.Context, r *runner) (*running, error) {
	st, err := p.openStore(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := p.withAdded(ctx, st)
	if err != nil {
		return nil, err
	}
	table, err := p.load(ctx, c)
	if err != nil {
		return nil, err
	}
	run := &running{table: table, store: st, since: p.now()}
	network := networkOf(c, table.Snapshot())
	run.rec, err = reconcile.New(p.config.Dataplane.Reconcile, table, network, p.dp, p.log.WithField("part", "reconcile"))
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	if st != nil {
		if run.leases, err = p.loadLeases(ctx, st, c.Pools, table, run.rec); err != nil {
			return nil, err
		}
		network = run.networkOf(c, table.Snapshot())
		run.rec.SetNetwork(network)
		r.run(ctx, "store", st.Run)
		if run.history, err = p.openHistory(ctx, r, st); err != nil {
			return nil, err
		}
	}
	run.rec.Complete()
	run.network = newNetworks(run.rec, network)

	if opener, ok := p.dp.(Opener); ok {
		if err := opener.Open(ctx); err != nil {
			return nil, fmt.Errorf("data plane %s: %w", p.dp.Name(), err)
		}
		r.closing(opener.Close)
	}
	r.run(ctx, "data plane "+p.dp.Name(), p.dp.Run)
	r.run(ctx, "reconcile", run.rec.Run)
	r.run(ctx, "networks", run.network.run)
	if run.leases != nil {
		r.run(ctx, "leases", run.leases.Run)
	}
	if err := p.startPCP(ctx, r, run); err != nil {
		return nil, err
	}
	if err := p.startDHCPv6(ctx, r, run); err != nil {
		return nil, err
	}
	if err := p.startBGP(ctx, r, run, c); err != nil {
		return nil, err
	}
	r.run(ctx, "ready", func(ctx context.Context) error { return p.announceReady(ctx, run.rec) })
	if err := p.startMetrics(ctx, r, run); err != nil {
		return nil, err
	}
	if !p.config.Control.Enabled() {
		return run, nil
	}
	listeners, err := p.listen(ctx, p.config.Control)
	if err != nil {
		return nil, err
	}
	server := control.New(p.view(run), p.config.Control.Rate, p.log.WithField("part", "control"))
	r.run(ctx, "control", func(ctx context.Context) error { return server.Run(ctx, listeners...) })
	return run, nil
}

// load reads all softwires of c into a new table.
func (p *Plugin) load(ctx context.Context, c Config) (*softwire.Table, error) {
	return loadTable(ctx, c, p.folder, func(b bindings.Progress) {
		p.log.WithField("file", b.File).WithField("rows", b.Rows).WithField("softwires", b.Total).Info("reading softwires")
	})
}

// announceReady closes ready when the reconciler is.
func (p *Plugin) announceReady(ctx context.Context, rec *reconcile.Reconciler) error {
	select {
	case <-rec.Ready():
		close(p.ready)
		p.log.WithField("softwires", rec.Stats().Desired).Info("ready")
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}

// supervise waits for Stop or a failure and ends everything.
func (p *Plugin) supervise(r *runner) {
	var err error
	select {
	case <-p.stop:
	case <-r.failed:
		err = r.err
		p.log.WithError(err).Error("stopping after a failure")
	}
	p.mu.Lock()
	p.state, p.err = stateStopping, err
	p.mu.Unlock()
	r.stop()
	p.mu.Lock()
	p.state = stateStopped
	p.mu.Unlock()
	close(p.done)
}

// Stop ends everything and returns when it has ended, or with ctx's error while
// it still ends. Stopping again is no error; the error of a Plugin that was
// never started wraps ErrNotRunning. Why a Plugin ended by itself is what Err
// says, and no error here.
func (p *Plugin) Stop(ctx context.Context) error {
	p.mu.Lock()
	switch p.state {
	case stateNew:
		p.mu.Unlock()
		return fmt.Errorf("%s %w", p.name, ErrNotRunning)
	case stateStarting:
		p.state = stateStopping
		p.cancelStart()
		closeOnce(p.stop)
	case stateRunning:
		closeOnce(p.stop)
	}
	p.mu.Unlock()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s is still stopping: %w", p.name, ctx.Err())
	}
}

// closeOnce closes c unless it is closed. Callers exclude each other.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// Run starts the router and blocks until ctx ends, and then stops it and
// returns nil. It returns earlier with the error of Start, or of what failed.
func (p *Plugin) Run(ctx context.Context) error {
	if err := p.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-p.done:
	}
	if err := p.Stop(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return p.Err()
}
