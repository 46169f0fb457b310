package plugin

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
)

// leaseConfig is testConfig with a pool that lends, and a store in dir.
func leaseConfig(dir string) Config {
	c := testConfig(dir)
	c.Pools[0].SetDefaults()
	c.Pools[0].Mechanisms = []pool.Mechanism{pool.Static, pool.PCP}
	c.Store.Path = filepath.Join(dir, "leases.db")
	return c
}

// runWith starts a router until the returned function is called.
func runWith(t *testing.T, c Config, dp *testDataplane, opts ...Option) (*Plugin, func()) {
	t.Helper()
	p := newPlugin(t, c, dp, opts...)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait(t, p.Ready(), "ready")
	return p, func() {
		t.Helper()
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func lessee(b4 string) provision.Request {
	return provision.Request{B4: netip.MustParseAddr(b4), Mechanism: pool.PCP}
}

// TestLeases: leases stand beside the softwires of the configuration, through
// reloads and restarts.
func TestLeases(t *testing.T) {
	dp := newTestDataplane()
	c := leaseConfig(testFolder(t))
	p, stop := runWith(t, c, dp)
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	l, err := leases.Acquire(t.Context(), lessee("2001:db8:1::b4"))
	if err != nil {
		t.Fatal(err)
	}
	if dp.Held()[l.Key()] != l.Softwire || len(dp.Held()) != 3 {
		t.Errorf("%s is not among %v", l.Softwire, dp.Held())
	}

	more := c
	more.Softwires.Static = append(c.Softwires.Static[:1:1], entry("192.0.2.9", 9, "2001:db8::9"))
	if change, err := p.Reload(t.Context(), more); err != nil || change.Put != 1 || change.Removed != 1 {
		t.Errorf("%+v, %v", change, err)
	}
	eventually(t, p, holds(dp, 3))

	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"softwire on a lease": {func(c *Config) {
			c.Softwires.Static = []bindings.Entry{entry(l.Softwire.IPv4.String(), l.Softwire.PortSet.PSID(), "2001:db8::99")}
		}, "softwires: lease " + l.Key().String()},
		"another psid-len": {func(c *Config) {
			c.Pools = pool.Pools{c.Pools[0]}
			c.Pools[0].PSIDLen = 7
		}, "pools: lease " + l.Key().String()},
		"no mechanism": {func(c *Config) {
			c.Pools = pool.Pools{c.Pools[0]}
			c.Pools[0].Mechanisms = nil
		}, "pools: lease " + l.Key().String()},
		"another store": {func(c *Config) { c.Store.Path += "x" }, "store.path: cannot change"},
	} {
		next := more
		tt.change(&next)
		_, err := p.Reload(t.Context(), next)
		var bad *ConfigError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if stats := p.Stats(); stats.Leases == nil || stats.Leases.Totals.Granted != 1 || stats.Leases.Store.Leases < 1 {
		t.Errorf("%+v", stats.Leases)
	}
	stop()
	if _, err := p.Leases(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}

	p, stop = runWith(t, more, dp)
	eventually(t, p, holds(dp, 3))
	if leases, err = p.Leases(); err != nil {
		t.Fatal(err)
	}
	if again, ok := leases.Lease(l.Key()); !ok || again.Softwire != l.Softwire {
		t.Errorf("after a restart %+v", again)
	}
	stop()

	moved := more
	moved.Pools = pool.Pools{more.Pools[0]}
	moved.Pools[0].PSIDLen = 7
	var bad *ConfigError
	if err := newPlugin(t, moved, dp).Start(t.Context()); !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "pools: ") {
		t.Errorf("started without a place for leases: %v", err)
	}
	late := WithClock(func() time.Time { return time.Now().Add(2 * 365 * 24 * time.Hour) })
	if err := newPlugin(t, more, dp, late).Start(t.Context()); !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "store.max-time-gap: ") {
		t.Errorf("started two years later: %v", err)
	}
}

// TestLeaseProblems: what keeps leases from being granted is a problem of the
// router, so that it is not ready.
func TestLeaseProblems(t *testing.T) {
	var behind atomic.Int64 // the time of day, in hours
	clock := WithClock(func() time.Time { return time.Now().Add(-time.Duration(behind.Load()) * time.Hour) })
	p, stop := runWith(t, leaseConfig(testFolder(t)), newTestDataplane(), clock)
	defer stop()
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	run, err := p.present()
	if err != nil {
		t.Fatal(err)
	}
	problems := func() []string {
		t.Helper()
		if _, err := leases.Acquire(t.Context(), lessee("2001:db8:1::b4")); err != nil {
			t.Fatal(err)
		}
		status, err := (view{p, run}).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return status.Problems
	}
	if all := problems(); len(all) != 0 {
		t.Errorf("problems %q", all)
	}
	behind.Store(5)
	if all := problems(); len(all) != 1 || !strings.Contains(all[0], "behind that of leases") {
		t.Errorf("problems %q", all)
	}
}

func TestLeasesNeedStore(t *testing.T) {
	c := leaseConfig(testFolder(t))
	c.Store.Path = ""
	if err := c.Validate(); err == nil || err.Error() != "pools[0].mechanisms: leases need a file: set store.path" {
		t.Errorf("got %v", err)
	}
	c.Store.Path = "leases.db"
	if err := c.Validate(); err == nil || err.Error() != `store.path: "leases.db" is not an absolute, clean path` {
		t.Errorf("got %v", err)
	}
	c = testConfig(testFolder(t))
	p := newPlugin(t, c, newTestDataplane())
	start(t, p)
	if _, err := p.Leases(); !errors.Is(err, ErrNoLeases) {
		t.Errorf("got %v", err)
	}
}
