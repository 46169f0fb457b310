package plugin

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
)

// morePool is a pool besides those of leaseConfig.
func morePool(name, prefix string) pool.Pool {
	p := pool.Pool{Name: name, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}, PSIDLen: 6, BR: netip.MustParseAddr("2001:db8:ffff::7")}
	p.SetDefaults()
	p.Mechanisms = []pool.Mechanism{pool.PCP}
	return p
}

// TestAddedPools: a pool can be added while the router runs, is still there
// after a restart, and goes when nobody uses it.
func TestAddedPools(t *testing.T) {
	dp := newTestDataplane()
	c := leaseConfig(testFolder(t))
	p, stop := runWith(t, c, dp)
	ctx := t.Context()
	if err := p.AddPool(ctx, morePool("more", "198.51.100.0/24")); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]pool.Pool{
		"same name": morePool("more", "203.0.113.0/24"),
		"overlaps":  morePool("other", "198.51.100.0/25"),
		"no name":   morePool("", "203.0.113.0/24"),
	} {
		if err := p.AddPool(ctx, bad); !errors.Is(err, provision.ErrPool) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ask := lessee("2001:db8:1::b4")
	ask.Pool = "more"
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	l, err := leases.Acquire(ctx, ask)
	if err != nil || l.Pool != "more" {
		t.Fatalf("%+v, %v", l, err)
	}
	if err := p.RemovePool(ctx, "more"); !errors.Is(err, provision.ErrPool) {
		t.Errorf("removing a pool with a lease: %v", err)
	}
	if err := p.RemovePool(ctx, c.Pools[0].Name); !errors.Is(err, provision.ErrPool) {
		t.Errorf("removing a pool of the configuration: %v", err)
	}
	if _, err := p.Reload(ctx, c); err != nil {
		t.Errorf("a reload beside it: %v", err)
	}
	clash := c
	clash.Pools = append(pool.Pools{morePool("clash", "198.51.100.0/26")}, c.Pools...)
	var bad *ConfigError
	if _, err := p.Reload(ctx, clash); !errors.As(err, &bad) {
		t.Errorf("a reload with a pool that overlaps it: %v", err)
	}
	stop()

	p, stop = runWith(t, c, newTestDataplane())
	if leases, err = p.Leases(); err != nil {
		t.Fatal(err)
	}
	if again, err := leases.Acquire(ctx, ask); err != nil || again.Key() != l.Key() {
		t.Errorf("after a restart: %+v, %v", again, err)
	}
	stop()

	if err := newPlugin(t, clash, newTestDataplane()).Start(ctx); !errors.As(err, &bad) {
		t.Errorf("a start with a pool that overlaps it: %v", err)
	}
}

// TestRemovePool: a pool that was never used goes, and does not come back.
func TestRemovePool(t *testing.T) {
	c := leaseConfig(testFolder(t))
	for range 2 {
		p, stop := runWith(t, c, newTestDataplane())
		// The second time it is not there already.
		if err := p.AddPool(t.Context(), morePool("more", "198.51.100.0/24")); err != nil {
			t.Fatal(err)
		}
		if err := p.RemovePool(t.Context(), "more"); err != nil {
			t.Fatal(err)
		}
		if err := p.RemovePool(t.Context(), "more"); !errors.Is(err, provision.ErrPool) {
			t.Errorf("removing it again: %v", err)
		}
		stop()
	}
	without := testConfig(testFolder(t))
	p, stop := runWith(t, without, newTestDataplane())
	if err := p.AddPool(t.Context(), morePool("more", "198.51.100.0/24")); !errors.Is(err, ErrNoLeases) {
		t.Errorf("without a store: %v", err)
	}
	stop()
}
