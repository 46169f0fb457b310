package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testDataplane is the fake with what a data plane may have besides.
type testDataplane struct {
	*fake.Dataplane
	open      func(context.Context) error
	opened    atomic.Int32 // Open minus Close
	run       func(context.Context) error
	running   atomic.Int32
	tuned     atomic.Pointer[DataplaneConfig]
	tuneError error
}

func newTestDataplane() *testDataplane { return &testDataplane{Dataplane: fake.New()} }

func (d *testDataplane) Open(ctx context.Context) error {
	if d.open != nil {
		if err := d.open(ctx); err != nil {
			return err
		}
	}
	d.opened.Add(1)
	return nil
}

func (d *testDataplane) Close() { d.opened.Add(-1) }

func (d *testDataplane) Run(ctx context.Context) error {
	d.running.Add(1)
	defer d.running.Add(-1)
	if d.run != nil {
		return d.run(ctx)
	}
	return d.Dataplane.Run(ctx)
}

func (d *testDataplane) Tune(c DataplaneConfig) error {
	if d.tuneError != nil {
		return d.tuneError
	}
	d.tuned.Store(&c)
	return nil
}

func (d *testDataplane) Fixed() []string {
	return []string{"forwarder.io", "forwarder.exception-queue"}
}

func logger(t *testing.T) logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(t.Output())
	return log
}

// testFolder is a short folder: a socket's path has a limit.
func testFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw4o6")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func entry(ipv4 string, psid uint16, b4 string) bindings.Entry {
	return bindings.Entry{IPv4: netip.MustParseAddr(ipv4), PSID: &psid, IPv6Info: bindings.AddressInfo(netip.MustParseAddr(b4))}
}

// testConfig has two softwires and a control socket in dir.
func testConfig(dir string) Config {
	c := DefaultConfig()
	c.Pools = pool.Pools{{
		Name: "p", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		PSIDLen: 6, BR: netip.MustParseAddr("2001:db8:ffff::1"),
	}}
	c.Softwires.Static = []bindings.Entry{entry("192.0.2.1", 1, "2001:db8::1"), entry("192.0.2.1", 2, "2001:db8::2")}
	c.Control.Socket = filepath.Join(dir, "control.sock")
	return c
}

// with gives a Plugin the data plane dp.
func with(dp dataplane.Dataplane) Option {
	return WithDataplane(func(DataplaneConfig, logrus.FieldLogger) (dataplane.Dataplane, error) { return dp, nil })
}

func newPlugin(t *testing.T, c Config, dp dataplane.Dataplane, opts ...Option) *Plugin {
	t.Helper()
	p, err := New(c, append([]Option{with(dp), WithLogger(logger(t))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// start starts p, has it stopped at the end, and waits until it is ready.
func start(t *testing.T, p *Plugin) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	wait(t, p.Ready(), "ready")
}

// patience bounds waits that a broken program would make for ever.
const patience = 30 * time.Second

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("not %s after %s", what, patience)
	}
}

// eventually waits until check returns nil, asked again after every progress of
// the reconciler.
func eventually(t *testing.T, p *Plugin, check func() error) {
	t.Helper()
	run, err := p.present()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for generation := uint64(0); ; {
		generation, err = run.rec.WaitProgress(ctx, generation)
		problem := check()
		if problem == nil {
			return
		}
		if err != nil {
			t.Fatal(errors.Join(err, problem))
		}
	}
}

// holds checks how many softwires the data plane has.
func holds(dp *testDataplane, n int) func() error {
	return func() error {
		if got := len(dp.Held()); got != n {
			return fmt.Errorf("the data plane has %d softwires, want %d", got, n)
		}
		return nil
	}
}
