package plugin

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// clean checks that nothing is left of a Plugin.
func clean(t *testing.T, p *Plugin, dp *testDataplane) {
	t.Helper()
	if dp.opened.Load() != 0 {
		t.Errorf("the devices were opened %d times more than closed", dp.opened.Load())
	}
	if dp.running.Load() != 0 {
		t.Error("the data plane still runs")
	}
	if _, err := os.Lstat(p.config.Control.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is still there: %v", err)
	}
	if s := p.Stats(); s.Name != p.Name() || !s.Started.IsZero() {
		t.Errorf("Stats of what does not run: %+v", s)
	}
}

func TestStartAndStop(t *testing.T) {
	dp := newTestDataplane()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := newPlugin(t, testConfig(testFolder(t)), dp, WithName("n"), WithClock(func() time.Time { return now }))
	if p.Name() != "n" {
		t.Errorf("Name is %q", p.Name())
	}
	clean(t, p, dp) // New has no side effects
	ctx, cancel := context.WithCancel(t.Context())
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	cancel() // ends the start only
	wait(t, p.Ready(), "ready")
	s := p.Stats()
	if !s.Ready || !s.Started.Equal(now) || s.Reconcile.Programmed != 2 {
		t.Errorf("Stats: %+v", s)
	}
	if err := holds(dp, 2)(); err != nil {
		t.Error(err)
	}
	if n, ok := dp.Network(); !ok || len(n.Pools) != 1 || len(n.BRs) != 1 {
		t.Errorf("network: %+v", n)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait(t, p.Done(), "done")
	if err := p.Err(); err != nil {
		t.Errorf("Err after Stop: %v", err)
	}
	clean(t, p, dp)
}

func TestWrongOrder(t *testing.T) {
	dp := newTestDataplane()
	p := newPlugin(t, testConfig(testFolder(t)), dp)
	ctx := t.Context()
	if err := p.Stop(ctx); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Stop before Start: %v", err)
	}
	if _, err := p.Status(ctx); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Status before Start: %v", err)
	}
	if _, err := p.Pools(ctx); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Pools before Start: %v", err)
	}
	if _, err := p.Reload(ctx, p.config); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Reload before Start: %v", err)
	}
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(ctx); !errors.Is(err, ErrStarted) {
		t.Errorf("Start twice: %v", err)
	}
	for range 2 {
		if err := p.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}
	if err := p.Start(ctx); !errors.Is(err, ErrStarted) {
		t.Errorf("Start after Stop: %v", err)
	}
	if _, err := p.Reload(ctx, p.config); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Reload after Stop: %v", err)
	}
	if err := p.Run(ctx); !errors.Is(err, ErrStarted) {
		t.Errorf("Run after Stop: %v", err)
	}
	clean(t, p, dp)
}

func TestNewRefuses(t *testing.T) {
	var bad *ConfigError
	if _, err := New(Config{}); !errors.As(err, &bad) {
		t.Errorf("a Config without anything: %v", err)
	}
	cause := errors.New("no")
	_, err := New(testConfig("/run"), WithDataplane(func(DataplaneConfig, logrus.FieldLogger) (dataplane.Dataplane, error) { return nil, cause }))
	if !errors.Is(err, cause) {
		t.Errorf("a data plane that cannot be made: %v", err)
	}
}

// TestStartFails injects a failure at each step of the start.
func TestStartFails(t *testing.T) {
	cause := errors.New("injected")
	tests := []struct {
		name string
		prep func(t *testing.T, c *Config, dp *testDataplane) []Option
		want string
	}{
		{"files", func(_ *testing.T, c *Config, _ *testDataplane) []Option {
			c.Softwires.Files = []bindings.File{{Path: "/nonexistent.csv"}}
			return nil
		}, "softwires.files[0].path: /nonexistent.csv: no such file or directory"},
		{"devices", func(_ *testing.T, _ *Config, dp *testDataplane) []Option {
			dp.open = func(context.Context) error { return cause }
			return nil
		}, "data plane fake: injected"},
		{"control socket", func(*testing.T, *Config, *testDataplane) []Option {
			return []Option{WithListeners(func(context.Context, control.Config) ([]net.Listener, error) { return nil, cause })}
		}, "injected"},
		{"control socket in use", func(t *testing.T, c *Config, _ *testDataplane) []Option {
			l, err := control.ListenSocket(t.Context(), c.Control)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return []Option{WithListeners(func(ctx context.Context, c control.Config) ([]net.Listener, error) {
				_, err := control.Listen(ctx, c)
				l.Close() // so that clean finds nothing
				return nil, err
			})}
		}, "another process listens on it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, dp := testConfig(testFolder(t)), newTestDataplane()
			opts := tt.prep(t, &c, dp)
			p := newPlugin(t, c, dp, opts...)
			err := p.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			clean(t, p, dp)
			wait(t, p.Done(), "done")
			if err := p.Stop(t.Context()); err != nil {
				t.Errorf("Stop after a failed Start: %v", err)
			}
			if err := p.Start(t.Context()); !errors.Is(err, ErrStarted) {
				t.Errorf("Start again: %v", err)
			}
		})
	}
}

func TestStopWhileStarting(t *testing.T) {
	dp := newTestDataplane()
	opening := make(chan struct{})
	dp.open = func(ctx context.Context) error {
		close(opening)
		<-ctx.Done()
		return ctx.Err()
	}
	p := newPlugin(t, testConfig(testFolder(t)), dp)
	started := make(chan error, 1)
	go func() { started <- p.Start(t.Context()) }()
	wait(t, opening, "opening")
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := <-started; !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v", err)
	}
	clean(t, p, dp)
}

// TestStopAsStartSucceeds: a data plane that opens all the same does not keep a
// Plugin alive that was told to stop.
func TestStopAsStartSucceeds(t *testing.T) {
	dp := newTestDataplane()
	opening := make(chan struct{})
	dp.open = func(ctx context.Context) error {
		close(opening)
		<-ctx.Done()
		return nil
	}
	c := testConfig(testFolder(t))
	c.Control.Socket = ""
	p := newPlugin(t, c, dp)
	started := make(chan error, 1)
	go func() { started <- p.Start(t.Context()) }()
	wait(t, opening, "opening")
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := <-started; err == nil {
		t.Error("Start succeeded after Stop")
	}
	if dp.opened.Load() != 0 || dp.running.Load() != 0 {
		t.Error("something is left of it")
	}
}

func TestStopWithDeadline(t *testing.T) {
	dp := newTestDataplane()
	release := make(chan struct{})
	dp.run = func(ctx context.Context) error {
		<-ctx.Done()
		<-release
		return nil
	}
	p := newPlugin(t, testConfig(testFolder(t)), dp)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop with an ended context: %v", err)
	}
	close(release)
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("Stop again: %v", err)
	}
	clean(t, p, dp)
}

func TestDataplaneFails(t *testing.T) {
	for name, cause := range map[string]error{"with an error": errors.New("injected"), "without": nil} {
		t.Run(name, func(t *testing.T) {
			dp := newTestDataplane()
			fail := make(chan struct{})
			dp.run = func(context.Context) error {
				<-fail
				return cause
			}
			p := newPlugin(t, testConfig(testFolder(t)), dp)
			ran := make(chan error, 1)
			go func() { ran <- p.Run(t.Context()) }()
			wait(t, p.Ready(), "ready")
			close(fail)
			err := <-ran
			if cause == nil {
				cause = errEnded
			}
			if !errors.Is(err, cause) || !errors.Is(p.Err(), cause) {
				t.Errorf("Run: %v, Err: %v", err, p.Err())
			}
			if err := p.Stop(t.Context()); err != nil {
				t.Errorf("Stop: %v", err)
			}
			clean(t, p, dp)
		})
	}
}

func TestRun(t *testing.T) {
	dp := newTestDataplane()
	p := newPlugin(t, testConfig(testFolder(t)), dp)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	wait(t, p.Ready(), "ready")
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	clean(t, p, dp)
}

// TestEndsInOrder: what needs the data plane has ended before it is told to.
func TestEndsInOrder(t *testing.T) {
	var order []string
	r := newRunner()
	task := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, name) // in order, or -race says so
			return nil
		}
	}
	r.closing(func() { order = append(order, "closed") })
	r.run(t.Context(), "a", task("a"))
	r.run(t.Context(), "b", task("b"))
	r.stop()
	if got := strings.Join(order, " "); got != "b a closed" {
		t.Errorf("ended in the order %s", got)
	}
	select {
	case <-r.failed:
		t.Errorf("an ordered end is a failure: %v", r.err)
	default:
	}
}
