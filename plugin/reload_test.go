package plugin

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

func TestReloadSoftwires(t *testing.T) {
	dp := newTestDataplane()
	c := testConfig(testFolder(t))
	p := newPlugin(t, c, dp)
	start(t, p)
	dp.Forget()

	// The first stays, the second moves, a third comes.
	c.Softwires.Static = []bindings.Entry{
		entry("192.0.2.1", 1, "2001:db8::1"), entry("192.0.2.1", 2, "2001:db8::22"), entry("192.0.2.2", 1, "2001:db8::3"),
	}
	got, err := p.Reload(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Change{Put: 2}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	eventually(t, p, holds(dp, 3))
	touched := 0
	for op := range dp.Ops() {
		touched++
		if op.Softwire.PortSet.PSID() == 1 && op.Softwire.IPv4 == netip.MustParseAddr("192.0.2.1") {
			t.Errorf("what stays was touched: %s %s", op.Kind, op.Softwire)
		}
	}
	if touched != 2 {
		t.Errorf("%d ops, want 2", touched)
	}

	c.Softwires.Static = c.Softwires.Static[:1]
	if got, err = p.Reload(t.Context(), c); err != nil || got.Removed != 2 || got.Put != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	eventually(t, p, holds(dp, 1))
}

// TestReloadNetworks: new networks are there before softwires on them, old ones
// until theirs are gone.
func TestReloadNetworks(t *testing.T) {
	dp := newTestDataplane()
	c := testConfig(testFolder(t))
	p := newPlugin(t, c, dp)
	start(t, p)
	dp.Forget()

	next := c
	next.Pools = pool.Pools{c.Pools[0]}
	next.Pools[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	next.Pools[0].BR = netip.MustParseAddr("2001:db8:ffff::2")
	next.Softwires.Static = []bindings.Entry{entry("198.51.100.1", 1, "2001:db8::1")}
	change, err := p.Reload(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Change{Put: 1, Removed: 2, Settings: []string{"pools"}}, change); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := networkOf(next, mustTable(t, next))
	eventually(t, p, func() error {
		if n, _ := dp.Network(); !same(n, want) {
			return fmt.Errorf("network is %+v, want %+v", n, want)
		}
		return holds(dp, 1)()
	})
	var order []string
	for _, call := range dp.Calls() {
		switch call.Kind {
		case fake.CallConfigure:
			order = append(order, fmt.Sprint("networks ", len(call.Network.Pools)+len(call.Network.BRs)))
		case fake.CallApply:
			for _, op := range call.Ops {
				order = append(order, op.Kind.String())
			}
		}
	}
	slices.Sort(order[1 : len(order)-1])
	if diff := cmp.Diff([]string{"networks 4", "put", "remove", "remove", "networks 2"}, order); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestUnion(t *testing.T) {
	n := func(prefixes, brs string) dataplane.Network {
		var n dataplane.Network
		for _, p := range strings.Fields(prefixes) {
			n.Pools = append(n.Pools, netip.MustParsePrefix(p))
		}
		for _, b := range strings.Fields(brs) {
			n.BRs = append(n.BRs, netip.MustParseAddr(b))
		}
		return n
	}
	for _, tt := range []struct {
		name       string
		a, b, want dataplane.Network
	}{
		{"same", n("192.0.2.0/24", "2001:db8::1"), n("192.0.2.0/24", "2001:db8::1"), n("192.0.2.0/24", "2001:db8::1")},
		{"apart", n("198.51.100.0/24", "2001:db8::2"), n("192.0.2.0/24", "2001:db8::1"), n("192.0.2.0/24 198.51.100.0/24", "2001:db8::1 2001:db8::2")},
		{"wider", n("192.0.2.0/25 192.0.2.128/25", ""), n("192.0.2.0/24", ""), n("192.0.2.0/24", "")},
		{"narrower", n("192.0.2.0/24", ""), n("192.0.2.128/25 192.0.3.0/24", ""), n("192.0.2.0/24 192.0.3.0/24", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := union(tt.a, tt.b); !same(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestReloadSettings(t *testing.T) {
	dp := newTestDataplane()
	c := testConfig(testFolder(t))
	var logged LogConfig
	p := newPlugin(t, c, dp, WithLogConfig(func(l LogConfig) { logged = l }))
	start(t, p)

	next := c
	next.Log.Level = "debug"
	next.Dataplane.Forwarder.Hairpin = false
	got, err := p.Reload(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Change{Settings: []string{"log.level", "dataplane.forwarder.hairpin"}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if logged.Level != "debug" {
		t.Errorf("the log's settings did not arrive: %+v", logged)
	}
	if err := p.SetLogLevel("trace"); err != nil || logged.Level != "trace" {
		t.Errorf("SetLogLevel: %v, %+v", err, logged)
	}
	var bad *ConfigError
	if err := p.SetLogLevel("fatal"); !errors.As(err, &bad) || logged.Level != "trace" {
		t.Errorf("a level that ends the process: %v, %+v", err, logged)
	}
	if tuned := dp.tuned.Load(); tuned == nil || tuned.Forwarder.Hairpin {
		t.Error("the data plane's settings did not arrive")
	}
	if got, err := p.Reload(t.Context(), next); err != nil || len(got.Settings) != 0 {
		t.Errorf("the same again: %+v, %v", got, err)
	}
}

// TestReloadRefuses: a bad reload is refused as a whole, with everything that is
// wrong, and the router goes on as before.
func TestReloadRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"fixed", func(c *Config) {
			c.Dataplane.Reconcile.BatchSize++
			c.Dataplane.Forwarder.IO.IPv4.Name = "other"
			c.Dataplane.Forwarder.ExceptionQueue++
			c.Control.Socket += "2"
			c.Softwires.Static = nil
		}, []string{
			"dataplane.reconcile.batch-size: cannot change while the router runs; restart it",
			"dataplane.forwarder.exception-queue: cannot change while the router runs; restart it",
			"dataplane.forwarder.io.ipv4.name: cannot change while the router runs; restart it",
			"control.socket: cannot change while the router runs; restart it"}},
		{"invalid", func(c *Config) {
			c.Pools = nil
			c.Log.Level = "loud"
		}, []string{
			`log.level: "loud" is neither error, warning, info, debug nor trace`,
			"softwires.static[0].binding-ipv4-addr: 192.0.2.1 is in no pool",
			"softwires.static[1].binding-ipv4-addr: 192.0.2.1 is in no pool"}},
		{"files", func(c *Config) {
			c.Softwires.Static = nil
			c.Softwires.Files = []bindings.File{{Path: "/nonexistent.csv"}}
			c.Dataplane.Forwarder.Hairpin = false
		}, []string{"softwires.files[0].path: /nonexistent.csv: no such file or directory"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dp := newTestDataplane()
			c := testConfig(testFolder(t))
			p := newPlugin(t, c, dp)
			start(t, p)
			next := c
			tt.change(&next)
			change, err := p.Reload(t.Context(), next)
			var bad *ConfigError
			if !errors.As(err, &bad) {
				t.Fatalf("got %+v, %v", change, err)
			}
			var got []string
			for _, e := range element.Each(bad.Err) {
				got = append(got, e.Error())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			untouched(t, p, dp)
		})
	}
}

// untouched checks that p still does what testConfig says.
func untouched(t *testing.T, p *Plugin, dp *testDataplane) {
	t.Helper()
	if err := holds(dp, 2)(); err != nil {
		t.Error(err)
	}
	if n := p.Stats().Reconcile.Desired; n != 2 {
		t.Errorf("%d softwires are desired, want 2", n)
	}
	if dp.tuned.Load() != nil {
		t.Error("the data plane was given other settings")
	}
}

func TestReloadWhenTuneFails(t *testing.T) {
	dp := newTestDataplane()
	dp.tuneError = element.Errorf("forwarder.hairpin", "not today")
	c := testConfig(testFolder(t))
	p := newPlugin(t, c, dp)
	start(t, p)
	c.Dataplane.Forwarder.Hairpin = false
	c.Softwires.Static = nil
	if _, err := p.Reload(t.Context(), c); err == nil || err.Error() != "dataplane.forwarder.hairpin: not today" {
		t.Errorf("got %v", err)
	}
	untouched(t, p, dp)
}

func TestReloadOfPlainDataplane(t *testing.T) {
	c := testConfig(testFolder(t))
	p := newPlugin(t, c, fake.New()) // takes no settings
	start(t, p)
	c.Dataplane.Forwarder.Hairpin = false
	if _, err := p.Reload(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "dataplane.forwarder.hairpin: cannot change") {
		t.Errorf("got %v", err)
	}
}

func TestReloadFile(t *testing.T) {
	dir := testFolder(t)
	path := filepath.Join(dir, "lw4o6.yaml")
	write := func(softwires string) {
		t.Helper()
		text := "pools:\n- {name: p, prefixes: [192.0.2.0/24], psid-len: 6, br-ipv6-addr: 2001:db8:ffff::1}\n" +
			"control: {socket: " + dir + "/control.sock}\nsoftwires: {files: [{path: s.csv}]}\n"
		for name, text := range map[string]string{path: text, dir + "/s.csv": "binding-ipv4-addr,psid,binding-ipv6info\n" + softwires} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("192.0.2.1,1,2001:db8::1\n192.0.2.1,2,2001:db8::2\n")
	f, err := LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dp := newTestDataplane()
	p := newPlugin(t, f.Config, dp, WithFile(f))
	start(t, p)
	untouched(t, p, dp)

	write("192.0.2.1,1,2001:db8::1\n192.0.2.1,1,2001:db8::2\n")
	if _, err := p.ReloadFile(t.Context()); err == nil || !strings.HasPrefix(err.Error(), dir+"/s.csv:3: conflicting softwires") {
		t.Errorf("a bad row: %v", err)
	}
	untouched(t, p, dp)
	if err := os.WriteFile(path, []byte("pool: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ReloadFile(t.Context()); err == nil || !strings.HasPrefix(err.Error(), path+":1: pool: unknown") {
		t.Errorf("a bad file: %v", err)
	}
	untouched(t, p, dp)

	write("192.0.2.9,1,2001:db8::1\n")
	if change, err := p.ReloadFile(t.Context()); err != nil || change.Put != 1 || change.Removed != 2 {
		t.Errorf("a good file: %+v, %v", change, err)
	}
	eventually(t, p, holds(dp, 1))

	q := newPlugin(t, testConfig(testFolder(t)), newTestDataplane())
	start(t, q)
	if _, err := q.ReloadFile(t.Context()); err == nil || !strings.Contains(err.Error(), "has no file") {
		t.Errorf("without a file: %v", err)
	}
}
