package source_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/source"
	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// router is a router with a fake data plane.
type router struct {
	*plugin.Plugin
	dp     *fake.Dataplane
	socket string
}

// newRouter starts a router that lends 192.0.2.0/30 in 16 sets for each address by
// DHCPv6, has a softwire by configuration, and a second pool that lends by PCP.
// with changes its configuration.
func newRouter(t *testing.T, with ...func(*plugin.Config)) *router {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw4o6") // a socket's path has a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	pools := pool.Pools{
		{
			Name: "lent", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")},
			PSIDLen: 4, BR: netip.MustParseAddr("2001:db8:ffff::1"), Terms: pool.DefaultTerms(),
		},
		{
			Name: "pcp", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/30")},
			PSIDLen: 4, BR: netip.MustParseAddr("2001:db8:ffff::2"), Terms: pool.DefaultTerms(),
		},
	}
	pools[0].Mechanisms, pools[1].Mechanisms = []pool.Mechanism{pool.DHCPv6, pool.Static}, []pool.Mechanism{pool.PCP}
	psid := uint16(3)
	c := plugin.DefaultConfig()
	c.Pools = pools
	c.Softwires.Static = []bindings.Entry{{
		IPv4: netip.MustParseAddr("192.0.2.3"), PSID: &psid, IPv6Info: bindings.AddressInfo(netip.MustParseAddr("2001:db8:5::4")),
	}}
	c.Store.Path = filepath.Join(dir, "leases.db")
	c.Control.Socket = filepath.Join(dir, "control.sock")
	for _, change := range with {
		change(&c)
	}
	r := &router{dp: fake.New(), socket: c.Control.Socket}
	log := logrus.New()
	log.SetOutput(t.Output())
	r.Plugin, err = plugin.New(c, plugin.WithLogger(log),
		plugin.WithDataplane(func(plugin.DataplaneConfig, logrus.FieldLogger) (dataplane.Dataplane, error) { return r.dp, nil }))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	<-r.Ready()
	return r
}

// remote is the router whose control socket is at path.
func remote(t *testing.T, path string) *source.Remote {
	client := api.NewClient(path)
	s := source.NewRemote(client)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.Close()
	})
	return s
}

// sources are the ways to the same router.
func sources(t *testing.T, each func(t *testing.T, r *router, s server.Softwires)) {
	t.Run("local", func(t *testing.T) {
		r := newRouter(t)
		leases, err := r.Leases()
		if err != nil {
			t.Fatal(err)
		}
		each(t, r, source.Local(leases))
	})
	t.Run("remote", func(t *testing.T) {
		r := newRouter(t)
		each(t, r, source.Leases(remote(t, r.socket)))
	})
	t.Run("remote and old", func(t *testing.T) {
		r := newRouter(t)
		each(t, r, source.Leases(remote(t, before(t, r.socket))))
	})
}

func want(prefix string) server.Want {
	return server.Want{Prefix: netip.MustParsePrefix(prefix), Lifetime: time.Hour, DUID: "\x00\x03\x00\x01", InterfaceID: "port 1", RemoteID: "line"}
}

// check requires that a softwire is that of the prefix, and programmed.
func check(t *testing.T, r *router, w server.Want, s softwire.Softwire) {
	t.Helper()
	b4, err := softwire.TunnelAddress(w.Prefix, s.IPv4, s.PortSet)
	if err != nil || s.B4 != b4 {
		t.Errorf("%s: the tunnel address should be %s (%v)", s, b4, err)
	}
	if got, ok := r.dp.Held()[s.Key()]; !ok || got != s {
		t.Errorf("%s was granted, and the data plane has %s", s, got)
	}
}

// TestGrant: what is offered is granted, with the tunnel address of RFC 7596,
// programmed; asking again extends it; it ends when it is released, and its
// subscriber may have it back.
func TestGrant(t *testing.T) {
	sources(t, func(t *testing.T, r *router, s server.Softwires) {
		w := want("2001:db8:1:8000::/56")
		offer, err := s.Offer(t.Context(), w)
		if err != nil || len(r.dp.Held()) != 1 {
			t.Fatalf("%v, %v", err, r.dp.Held())
		}
		first, err := s.Acquire(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		check(t, r, w, first.Softwire)
		if first.Softwire.Key() != offer.Softwire.Key() || first.Foreign || time.Until(first.Expires) < 59*time.Minute {
			t.Errorf("offered %+v, granted %+v", offer, first)
		}
		w.Last, w.Lifetime = first.Softwire, 2*time.Hour
		again, err := s.Acquire(t.Context(), w)
		if err != nil || again.Softwire != first.Softwire || !again.Expires.After(first.Expires) {
			t.Errorf("%+v, %v", again, err)
		}
		for range 2 {
			if err := s.Release(t.Context(), w); err != nil {
				t.Error(err)
			}
		}
		if _, ok := r.dp.Held()[first.Softwire.Key()]; ok {
			t.Error("the data plane has it after it was released")
		}
		back, err := s.Acquire(t.Context(), w)
		if err != nil || back.Softwire != first.Softwire {
			t.Errorf("who returns gets %+v, %v", back, err)
		}
		leases, err := r.Leases()
		if err != nil {
			t.Fatal(err)
		}
		if l, ok := leases.Lease(first.Softwire.Key()); !ok || l.Attributes.String() != "duid=00030001 interface-id=706f72742031 remote-id=6c696e65" {
			t.Errorf("%+v", l)
		}
		// What is only extended is not written and programmed anew.
		if totals := leases.Stats().Totals; totals.Changed != 0 || totals.Renewed == 0 {
			t.Errorf("%+v", totals)
		}
	})
}

// TestForeign: who has a softwire by configuration is told that.
func TestForeign(t *testing.T) {
	sources(t, func(t *testing.T, r *router, s server.Softwires) {
		w := want("2001:db8:5::/56")
		for _, ask := range []func(context.Context, server.Want) (server.Grant, error){s.Offer, s.Acquire} {
			g, err := ask(t.Context(), w)
			if err != nil || !g.Foreign || g.Softwire.B4 != netip.MustParseAddr("2001:db8:5::4") || !g.Expires.IsZero() {
				t.Errorf("%+v, %v", g, err)
			}
		}
		if err := s.Release(t.Context(), w); err != nil {
			t.Error(err)
		}
		if len(r.dp.Held()) != 1 {
			t.Errorf("%v", r.dp.Held())
		}
	})
}

// TestNone: what asking again would not help is told from the rest.
func TestNone(t *testing.T) {
	sources(t, func(t *testing.T, r *router, s server.Softwires) {
		other := want("2001:db8:2::/56")
		other.Pool = "pcp"
		unknown := want("2001:db8:3::/56")
		unknown.Pool = "nobody"
		// Longer than subscriber-prefix-len: neighbours would share one softwire.
		long := want("2001:db8:4::/60")
		long.Last = softwire.Softwire{}
		for name, w := range map[string]server.Want{"another mechanism": other, "an unknown pool": unknown, "a long prefix": long} {
			if g, err := s.Acquire(t.Context(), w); !errors.Is(err, server.ErrNone) {
				t.Errorf("%s: %+v, %v", name, g, err)
			}
		}
		if len(r.dp.Held()) != 1 {
			t.Errorf("%v", r.dp.Held())
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if g, err := s.Acquire(ended, want("2001:db8:6::/56")); err == nil || errors.Is(err, server.ErrNone) {
			t.Errorf("too late: %+v, %v", g, err)
		}
	})
}

// TestExhausted: when no port set is left, that is said.
func TestExhausted(t *testing.T) {
	sources(t, func(t *testing.T, r *router, s server.Softwires) {
		granted := make(map[softwire.Key]bool)
		var err error
		for i := range byte(64) {
			w := want("2001:db8:7::/56")
			a := w.Prefix.Addr().As16()
			a[6] = i
			w.Prefix = netip.PrefixFrom(netip.AddrFrom16(a), 56)
			var g server.Grant
			if g, err = s.Acquire(t.Context(), w); err != nil {
				break
			}
			check(t, r, w, g.Softwire)
			granted[g.Softwire.Key()] = true
		}
		// Four addresses of 16 sets, without those of ports 0 to 1023 and of PCP, and
		// the one of the configuration.
		if len(granted) != 4*14-1 || !errors.Is(err, server.ErrNone) {
			t.Errorf("%d softwires, and then %v", len(granted), err)
		}
	})
}
