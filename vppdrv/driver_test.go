package vppdrv

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

var (
	br1 = addr("2001:db8:ffff::1")
	br2 = addr("2001:db8:ffff::2")
)

func network() dataplane.Network {
	return dataplane.Network{Pools: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/16")}, BRs: []netip.Addr{br1, br2}}
}

// table is n softwires, 63 on each address.
func table(n int) []softwire.Softwire {
	all := make([]softwire.Softwire, n)
	for i := range all {
		set, err := portset.Of(0, 6, uint16(1+i%63))
		if err != nil {
			panic(err)
		}
		b := addr("2001:db8:100::").As16()
		b[13], b[14], b[15] = byte(i>>16), byte(i>>8), byte(i)
		all[i] = softwire.Softwire{
			IPv4: netip.AddrFrom4([4]byte{100, 64, byte(i / 63 >> 8), byte(i / 63)}), PortSet: set,
			B4: netip.AddrFrom16(b), BR: []netip.Addr{br1, br2}[i/63%2],
		}
	}
	return all
}

func puts(all []softwire.Softwire) []dataplane.Op {
	ops := make([]dataplane.Op, len(all))
	for i, s := range all {
		ops[i] = dataplane.Op{Kind: dataplane.Put, Softwire: s}
	}
	return ops
}

// apply requires that everything is programmed.
func apply(t testing.TB, d dataplane.Dataplane, ops []dataplane.Op) {
	t.Helper()
	for batch := range slices.Chunk(ops, 4096) {
		results, err := d.Apply(t.Context(), batch)
		if err != nil {
			t.Fatalf("Apply: %v", err)
		}
		for i, r := range results {
			if r.Err != nil {
				t.Fatalf("%s %s: %s: %v", batch[i].Kind, batch[i].Softwire, r.Outcome, r.Err)
			}
		}
	}
}

// read reads back what is programmed.
func read(t testing.TB, d dataplane.Dataplane) map[softwire.Key]softwire.Softwire {
	t.Helper()
	all := make(map[softwire.Key]softwire.Softwire)
	for s, err := range d.Softwires(t.Context()) {
		if err != nil {
			t.Fatalf("Softwires: %v", err)
		}
		all[s.Key()] = s
	}
	return all
}

func byKey(all []softwire.Softwire) map[softwire.Key]softwire.Softwire {
	m := make(map[softwire.Key]softwire.Softwire)
	for _, s := range all {
		m[s.Key()] = s
	}
	return m
}

// TestRestartOfControl: a new process finds everything as it was and changes
// nothing in VPP, and no packet is lost meanwhile.
func TestRestartOfControl(t *testing.T) {
	b := newBenchOn(t, vpptest.Config{Workers: 1}, func(c *Config) { c.CallTimeout = time.Minute })
	first := b.up(t)
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	want := table(100_000)
	whole := softwire.Softwire{IPv4: addr("100.64.200.1"), B4: addr("2001:db8:100:ff::1"), BR: br2}
	want = append(want, whole)
	apply(t, b, puts(want))
	var flows []*flow
	for i := 0; i < len(want); i += 1000 {
		if s := want[i]; !s.PortSet.Whole() {
			flows = append(flows, flowOf(s))
		}
	}
	traffic := startTraffic(t, b, 500*time.Microsecond, flows...)
	b.stop()

	again, err := New(b.config, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	b.vpp.CLI("api trace on")
	b.Driver = again
	b.run(t, again)
	if h := b.up(t); h.Incarnation != first.Incarnation {
		t.Errorf("health %+v after %+v", h, first)
	}
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	apply(t, b, puts(want))
	if got := read(t, b); !maps.Equal(got, byKey(want)) {
		t.Errorf("read back %d softwires, want %d", len(got), len(want))
	}
	modifying(t, b.vpp)
	t.Logf("packets %v", traffic.finish(t))
}

// modifying requires that VPP got no message that changes something since its
// trace was turned on.
func modifying(t *testing.T, v *vpptest.VPP) {
	t.Helper()
	counts := make(map[string]int)
	last := ""
	for line := range strings.Lines(v.CLI("api trace dump")) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "vl_api_"); ok {
			last, _, _ = strings.Cut(name, "_t:")
			counts[last]++
		}
		if command, ok := strings.CutPrefix(line, "cmd: "); ok && last == "cli_inband" {
			words := strings.Fields(command)
			counts[strings.Join(words[:min(3, len(words))], " ")]++
		}
	}
	if counts["show map domain"] < 1000 {
		t.Errorf("messages %v: want the rules to be read", counts)
	}
	for name, n := range counts {
		reading := strings.HasPrefix(name, "show ") || strings.HasSuffix(name, "_dump") || strings.HasSuffix(name, "_get") || strings.HasSuffix(name, "_lookup") ||
			slices.Contains([]string{
				"control_ping", "show_version", "get_next_index", "classify_table_by_interface", "classify_table_info", "sockclnt_create",
				"cli_inband", "api trace on", "api trace dump",
			}, name)
		if !reading {
			t.Errorf("%d messages %s", n, name)
		}
	}
}

// TestVPPRestarts: VPP is killed and started again, twice in a row.
func TestVPPRestarts(t *testing.T) {
	b := newBench(t, nil)
	known := b.up(t)
	want := table(300)
	for range 3 {
		if err := b.Configure(t.Context(), network()); err != nil {
			t.Fatal(err)
		}
		if left := read(t, b); len(left) != 0 {
			t.Errorf("%d softwires in a new VPP", len(left))
		}
		apply(t, b, puts(want))
		if got := read(t, b); !maps.Equal(got, byKey(want)) {
			t.Errorf("read back %d softwires, want %d", len(got), len(want))
		}
		b.vpp.Kill()
		b.vpp.Restart()
		b.restarted()
		known = b.newIncarnation(t, known)
	}
}

// newIncarnation waits until VPP is up again after it lost everything.
func (b *bench) newIncarnation(t *testing.T, known dataplane.Health) dataplane.Health {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := known
	for h.State != dataplane.StateUp || h.Incarnation == known.Incarnation {
		var err error
		if h, err = b.WaitHealth(ctx, h); err != nil {
			t.Fatalf("not up again: %v; last %+v", err, h)
		}
	}
	return h
}

// TestForeign: what is not ours stays, whether it was there before, between or
// after what is.
func TestForeign(t *testing.T) {
	b := newBench(t, nil)
	f := &foreigners{bench: b}
	b.up(t)
	f.add()
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	want := table(130)
	apply(t, b, puts(want[:70]))
	f.add()
	apply(t, b, puts(want[70:]))
	f.add()
	if got := read(t, b); !maps.Equal(got, byKey(want)) {
		t.Errorf("read back %d softwires, want %d", len(got), len(want))
	}
	f.check(t, "programmed")
	for _, s := range want {
		apply(t, b, []dataplane.Op{{Kind: dataplane.Remove, Softwire: s}})
	}
	if err := b.Configure(t.Context(), dataplane.Network{}); err != nil {
		t.Fatal(err)
	}
	f.check(t, "removed")
	b.stop()
	// Made for something else, so all of ours is made anew.
	b.config.Forwarding.TunnelMTU = 1480
	d, err := New(b.config, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	b.Driver = d
	b.run(t, d)
	b.up(t)
	if left := read(t, b); len(left) != 0 {
		t.Errorf("%d softwires are left", len(left))
	}
	f.check(t, "made anew")
	b.stop()
	if err := d.Teardown(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.check(t, "torn down")
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	for key, change := range map[string]func(*Config){
		"api-socket":             func(c *Config) { c.API = "api.sock" },
		"stats-socket":           func(c *Config) { c.Stats = "" },
		"punt-socket":            func(c *Config) { c.Punt = "/" + strings.Repeat("x", 107) },
		"exception-socket":       func(c *Config) { c.Exceptions = "x" },
		"instance":               func(c *Config) { c.Instance = "a:b" },
		"ipv4-table":             func(c *Config) { c.IPv4Table = c.Tables },
		"ipv6-table":             func(c *Config) { c.IPv6Table = c.Tables + 7 },
		"own-tables":             func(c *Config) { c.Tables = 0 },
		"answer-psid-len":        func(c *Config) { c.Fill = 16 },
		"script-lines":           func(c *Config) { c.ScriptLines = 0 },
		"exception-rate":         func(c *Config) { c.ExceptionRate = 99 },
		"call-timeout":           func(c *Config) { c.CallTimeout = 0 },
		"ping-interval":          func(c *Config) { c.PingInterval = -1 },
		"retry-min":              func(c *Config) { c.RetryMin = time.Minute },
		"forwarding.tunnel-mtu":  func(c *Config) { c.Forwarding.TunnelMTU = 1000 },
		"forwarding.hop-limit":   func(c *Config) { c.Forwarding.HopLimit = 0 },
		"forwarding.icmpv4.rate": func(c *Config) { c.Forwarding.ICMPv4.Rate.Total = -1 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestNotPermitted: who may not use VPP's API socket learns it.
func TestNotPermitted(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	d, err := New(testConfig(v), quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		// The thread of nobody ends with this goroutine.
		runtime.LockOSThread()
		const nobody = 65534
		if err := unix.Setfsuid(nobody); err != nil {
			result <- err
			return
		}
		result <- d.connect(context.Background())
	}()
	if err := <-result; !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), v.API) {
		t.Errorf("connecting as nobody: %v", err)
	}
}

// TestPluginsMissing: each is named that VPP does not have.
func TestPluginsMissing(t *testing.T) {
	for missing, plugins := range map[string][]string{"map": {"mss_clamp"}, "mss_clamp": {"map"}} {
		v := vpptest.Start(t, vpptest.Config{Plugins: plugins})
		d, err := New(testConfig(v), quiet(t))
		if err != nil {
			t.Fatal(err)
		}
		err = d.connect(t.Context())
		var incompatible *vppapi.IncompatibleError
		if !errors.As(err, &incompatible) || !slices.Equal(incompatible.Plugins, []string{missing}) || !strings.Contains(err.Error(), missing+"_plugin.so") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

// TestMended: what is missing is waited for, with the reason in the health.
func TestMended(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.RetryMax = 20 * time.Millisecond
		c.Interfaces.IPv4 = []ports.Config{{Name: "host-vpp2"}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !strings.Contains(b.health.Get().Reason, "host-vpp2") {
		if !sleep(ctx, time.Millisecond) {
			t.Fatalf("health %+v", b.health.Get())
		}
	}
	if _, err := b.Apply(ctx, nil); !errors.Is(err, ErrNotConnected) || !strings.Contains(err.Error(), "host-vpp2") {
		t.Errorf("Apply without the interface: %v", err)
	}
	b.vpp.AddPort()
	b.up(t)
}

// TestSocketsMissing: each is named that VPP does not have.
func TestSocketsMissing(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{NoPunt: true})
	c := testConfig(v)
	for reason, change := range map[string]func(*Config){
		"punt { socket":                  func(*Config) {},
		"statseg { socket-name /nostats": func(c *Config) { c.Stats = "/nostats" },
		"socksvr { socket-name /noapi":   func(c *Config) { c.API = "/noapi"; c.Exceptions = v.Dir() + "/e" },
	} {
		config := c
		change(&config)
		d, err := New(config, quiet(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.connect(t.Context()); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
