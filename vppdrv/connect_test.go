package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
)

// TestNotConnected: without VPP calls fail at once and say why.
func TestNotConnected(t *testing.T) {
	dir := t.TempDir()
	c := DefaultConfig()
	c.API, c.Stats, c.Punt = dir+"/api", dir+"/stats", dir+"/punt"
	d, err := New(c, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	check := func(reason string) {
		t.Helper()
		_, applied := d.Apply(t.Context(), puts(table(1)))
		_, counted := d.Counters(t.Context())
		calls := []error{d.Configure(t.Context(), network()), applied, counted, d.Inject(t.Context(), dataplane.SideIPv4, []byte{0x45})}
		for _, err := range d.Softwires(t.Context()) {
			calls = append(calls, err)
		}
		for _, err := range d.SoftwireCounters(t.Context()) {
			calls = append(calls, err)
		}
		if len(calls) != 6 {
			t.Errorf("%d calls", len(calls))
		}
		for i, err := range calls {
			if !errors.Is(err, ErrNotConnected) || !strings.Contains(fmt.Sprint(err), reason) {
				t.Errorf("call %d: %v, want %q", i, err, reason)
			}
		}
	}
	check("not started")
	b := &bench{Driver: d}
	stop := b.run(t, d)
	stop()
	check("stopped")
}

// TestHang: a VPP that hangs for a while loses nothing.
func TestHang(t *testing.T) {
	b := newBench(t, func(c *Config) { c.CallTimeout = 200 * time.Millisecond })
	known := b.up(t)
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	want := table(200)
	apply(t, b, puts(want[:100]))
	b.vpp.Pause()
	results, err := b.Apply(t.Context(), puts(want[100:]))
	if err == nil {
		for i, r := range results {
			if r.Outcome != dataplane.Retryable || !errors.Is(r.Err, vppapi.ErrNoAnswer) {
				t.Errorf("op %d while VPP hangs: %+v", i, r)
				break
			}
		}
	} else if !errors.Is(err, vppapi.ErrNoAnswer) {
		t.Errorf("Apply while VPP hangs: %v", err)
	}
	b.vpp.Resume()
	apply(t, b, puts(want))
	if got := read(t, b); !maps.Equal(got, byKey(want)) {
		t.Errorf("read back %d softwires, want %d", len(got), len(want))
	}
	if h := b.health.Get(); !h.Same(known) {
		t.Errorf("health %+v, before %+v", h, known)
	}
}

// TestUnresponsive: a VPP that hangs for too long is given up, and taken again.
func TestUnresponsive(t *testing.T) {
	b := newBench(t, func(c *Config) { c.PingInterval, c.Unresponsive = 10*time.Millisecond, 50*time.Millisecond })
	known := b.up(t)
	b.vpp.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h, err := b.WaitHealth(ctx, known)
	if err != nil || h.State != dataplane.StateDown || h.Incarnation != 0 || h.Reason == "" {
		t.Errorf("health %+v, %v", h, err)
	}
	b.vpp.Resume()
	for h.State != dataplane.StateUp {
		if h, err = b.WaitHealth(ctx, h); err != nil {
			t.Fatal(err)
		}
	}
	if h.Incarnation != known.Incarnation {
		t.Errorf("incarnation %d after a pause, before %d", h.Incarnation, known.Incarnation)
	}
}

// foreigners are entries of others in a VPP.
type foreigners struct {
	*bench
	there int
}

// add makes one of each kind: a domain with a tag much like ours, an interface, a
// table and a route within our pool.
func (f *foreigners) add() {
	n := f.there
	f.there++
	f.vpp.Lines(fmt.Sprintf(`
		map add domain tag lw4o6:test%[1]d:s ip4-pfx 198.51.100.%[1]d/32 ip6-pfx ::/128 ip6-src 2001:db8::9/128 ea-bits-len 0 psid-offset 0 psid-len 4 mtu 1500
		create loopback interface instance %[2]d
		set interface tag loop%[2]d lw4o6:test%[1]d:encap
		ip table add %[2]d
		ip route add table %[2]d 192.0.2.0/24 via drop
		ip route add 100.64.%[2]d.0/24 via %[3]s %[4]s`, n, 100+n, far4, f.ports[dataplane.SideIPv4].Interface))
	f.vpp.CLI("map add rule index %d psid 3 ip6-dst 2001:db8::7", f.domain(n))
}

// domain is the index of the MAP domain of one of them.
func (f *foreigners) domain(n int) (index uint32) {
	for line := range strings.Lines(f.vpp.CLI("show map domain")) {
		if _, err := fmt.Sscanf(line, fmt.Sprintf("[%%d] tag {lw4o6:test%d:s}", n), &index); err == nil {
			return index
		}
	}
	return ^uint32(0)
}

// check requires that all of them are there as they were made.
func (f *foreigners) check(t *testing.T, when string) {
	t.Helper()
	for n := range f.there {
		for command, want := range map[string]string{
			fmt.Sprintf("show map domain index %d", f.domain(n)):    fmt.Sprintf("tag {lw4o6:test%d:s} ip4-pfx 198.51.100.%[1]d/32", n),
			fmt.Sprintf("show interface tag loop%d", 100+n):         fmt.Sprintf("lw4o6:test%d:encap", n),
			fmt.Sprintf("show ip fib table %d 192.0.2.0/24", 100+n): "192.0.2.0/24",
			fmt.Sprintf("show ip fib 100.64.%d.0/24", 100+n):        far4,
		} {
			if got := f.vpp.CLI("%s", command); !strings.Contains(got, want) {
				t.Errorf("%s: %s of somebody else: want %q in\n%s", when, command, want, got)
			}
		}
		if rules := f.vpp.CLI("show map domain index %d", f.domain(n)); !strings.Contains(rules, "rule psid: 3 ip6-dst 2001:db8::7") {
			t.Errorf("%s: rules of somebody else:\n%s", when, rules)
		}
	}
}
