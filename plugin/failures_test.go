package plugin

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// errInjected is what injected failures are made of.
var errInjected = errors.New("injected")

// failure is one thing that goes wrong in a life.
type failure struct {
	name   string
	inject func(c *Config, dp *testDataplane) []Option
	// during, if any, happens beside Start.
	during func(p *Plugin)
	// later: it does not keep Start from succeeding.
	later bool
}

// failures has one for each step of a life, in their order.
func failures(t *testing.T) []failure {
	dir := testFolder(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	badPools := storeWith(t, dir, addedPools, "no pool")
	badEpoch := storeWith(t, dir, pcpState, epochKey)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	taken := netip.MustParseAddrPort(l.Addr().String())
	config := func(change func(*Config)) func(*Config, *testDataplane) []Option {
		return func(c *Config, _ *testDataplane) []Option {
			change(c)
			return nil
		}
	}
	plane := func(change func(*testDataplane)) func(*Config, *testDataplane) []Option {
		return func(_ *Config, dp *testDataplane) []Option {
			change(dp)
			return nil
		}
	}
	return []failure{
		{name: "nothing", inject: config(func(*Config) {}), later: true},
		{name: "store", inject: config(func(c *Config) { c.Store.Path = dir })},
		{name: "added pools", inject: config(func(c *Config) { c.Store.Path = badPools })},
		{name: "softwires", inject: config(func(c *Config) { c.Softwires.Files = []bindings.File{{Path: "/nonexistent.csv"}} })},
		{name: "history", inject: config(func(c *Config) { c.History.Path = file })},
		{name: "event log", inject: config(func(c *Config) { c.History.Events.Path = filepath.Join(file, "events") })},
		{name: "devices", inject: plane(func(dp *testDataplane) { dp.open = func(context.Context) error { return errInjected } })},
		{name: "epoch", inject: config(func(c *Config) { c.Store.Path = badEpoch })},
		{name: "metrics", inject: config(func(c *Config) { c.Metrics.Listen = taken })},
		{name: "listener", inject: func(*Config, *testDataplane) []Option {
			return []Option{WithListeners(func(context.Context, control.Config) ([]net.Listener, error) { return nil, errInjected })}
		}},
		{name: "told to stop", inject: plane(func(dp *testDataplane) {
			dp.open = func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}), during: stopSoon},
		{name: "told to stop too late", inject: plane(func(dp *testDataplane) {
			dp.open = func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			}
		}), during: stopSoon},
		{name: "control API", later: true, inject: func(*Config, *testDataplane) []Option {
			return []Option{WithListeners(func(context.Context, control.Config) ([]net.Listener, error) {
				return []net.Listener{brokenListener{}}, nil
			})}
		}},
		{name: "data plane at once", later: true, inject: plane(func(dp *testDataplane) {
			dp.run = func(context.Context) error { return errInjected }
		})},
		{name: "data plane without an error", later: true, inject: plane(func(dp *testDataplane) {
			dp.run = func(context.Context) error { return nil }
		})},
		{name: "data plane that is away", later: true, inject: plane(func(dp *testDataplane) { dp.Disconnect("injected") })},
	}
}

// stopSoon stops p as soon as it is being started.
func stopSoon(p *Plugin) {
	for p.Stop(context.Background()) != nil {
		runtime.Gosched()
	}
}

// storeWith makes a store with a value that cannot be read.
func storeWith(t *testing.T, dir, collection, key string) string {
	t.Helper()
	path := filepath.Join(dir, collection+".db")
	st, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := st.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := st.Commit(ctx, store.Batch{Values: []store.Value{{Collection: collection, Key: key, Data: []byte("?")}}}); err != nil {
		t.Fatal(err)
	}
	cancel()
	running.Wait()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// brokenListener accepts nothing.
type brokenListener struct{}

func (brokenListener) Accept() (net.Conn, error) { return nil, errInjected }
func (brokenListener) Close() error              { return nil }
func (brokenListener) Addr() net.Addr            { return &net.UnixAddr{Name: "broken"} }

// TestCyclesWithFailures starts and stops 1,000 times, with a failure at another
// step each time. Nothing panics, nothing is left, and what failed cannot be
// started again.
func TestCyclesWithFailures(t *testing.T) {
	const cycles = 1000
	dir := testFolder(t)
	all := failures(t)
	for i := range cycles {
		f := all[i%len(all)]
		c, dp := pcpConfig(dir), newTestDataplane()
		opts := f.inject(&c, dp)
		p := newPlugin(t, c, dp, opts...)
		var beside sync.WaitGroup
		if f.during != nil {
			beside.Go(func() { f.during(p) })
		}
		err := p.Start(t.Context())
		beside.Wait()
		if f.later != (err == nil) {
			t.Fatalf("cycle %d, %s: Start: %v", i, f.name, err)
		}
		// A host may ask too early, twice or too late.
		_ = p.AfterInit()
		if err := p.Start(t.Context()); !errors.Is(err, ErrStarted) {
			t.Fatalf("cycle %d, %s: Start again: %v", i, f.name, err)
		}
		for range 2 {
			if err := p.Stop(t.Context()); err != nil {
				t.Fatalf("cycle %d, %s: Stop: %v", i, f.name, err)
			}
		}
		clean(t, p, dp)
		if t.Failed() {
			t.Fatalf("cycle %d, %s", i, f.name)
		}
	}
	goleak.VerifyNone(t)
}
