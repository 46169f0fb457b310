package vppdrv

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func TestSizing(t *testing.T) {
	const mebi = 1 << 20
	for _, tt := range []struct {
		name                      string
		addresses, rules, threads int
		heap, statistics          uint64
	}{
		{"nothing", 0, 0, 1, 64 * mebi, 16 * mebi},
		{"a million softwires", 16384, 16384 << 6, 5, 96 * mebi, 16*mebi + 16384*5*96},
	} {
		got := Sizing(tt.addresses, tt.rules, tt.threads)
		if got != (Size{tt.heap, tt.statistics}) {
			t.Errorf("%s: %+v, want %d and %d", tt.name, got, tt.heap, tt.statistics)
		}
	}
}

func TestCapacity(t *testing.T) {
	c := capacity{Size{Heap: 512 << 20, Statistics: 32 << 20}, 3}
	for _, tt := range []struct {
		name             string
		addresses, rules int
		want             string
	}{
		{"fits", 10_000, 10_000 << 6, ""},
		{"rules", 10_000, 10_000 << 12, `VPP has too little memory for 10000 addresses with 40960000 port sets: put at least "memory { main-heap-size 1024M }" into its startup configuration`},
		{"counters", 100_000, 100_000, `"statseg { size 64M }"`},
	} {
		err := c.fits(tt.addresses, tt.rules)
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// TestLittleMemory fills a small VPP: what does not fit is refused with what to
// configure, and what is there can still be changed.
func TestLittleMemory(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{Heap: "128M"})
	c := testConfig(v)
	c.Fill = 0
	d, err := New(c, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Driver: d, vpp: v}
	b.run(t, d)
	b.up(t)
	if err := d.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	set, err := portset.Of(0, 16, 7)
	if err != nil {
		t.Fatal(err)
	}
	const addresses = 100 // of 1 MiB each
	one := func(i int, b4 string) dataplane.Op {
		return dataplane.Op{Kind: dataplane.Put, Softwire: softwire.Softwire{
			IPv4: netip.AddrFrom4([4]byte{100, 64, 1, byte(i)}), PortSet: set, B4: addr(b4), BR: br1,
		}}
	}
	refused := 0
	for i := range addresses {
		r, err := d.Apply(context.Background(), []dataplane.Op{one(i, "2001:db8:100::1")})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r[0].Err == nil:
		case r[0].Outcome == dataplane.Retryable && errors.Is(r[0].Err, ErrMemory) && strings.Contains(r[0].Err.Error(), "main-heap-size 256M"):
			refused++
		default:
			t.Fatalf("address %d: %+v", i, r[0])
		}
	}
	if refused == 0 || refused == addresses {
		t.Errorf("%d of %d addresses were refused", refused, addresses)
	}
	apply(t, d, []dataplane.Op{one(0, "2001:db8:100::2"), {Kind: dataplane.Remove, Softwire: one(1, "::").Softwire}})
	apply(t, d, []dataplane.Op{one(addresses-1, "2001:db8:100::1")})
	if got := read(t, d); len(got) != addresses-refused {
		t.Errorf("%d softwires, want %d", len(got), addresses-refused)
	}
}
