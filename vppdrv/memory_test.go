package vppdrv

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// TestMemory: what VPP has no memory for is refused before VPP aborts, with what
// to configure; the rest goes on.
func TestMemory(t *testing.T) {
	for name, test := range map[string]struct {
		on   vpptest.Config
		k    uint8
		most int // addresses
	}{
		"heap":          {vpptest.Config{Heap: "128M"}, 12, 2048},
		"stats segment": {vpptest.Config{Statistic: "4M"}, 1, 1 << 16},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBenchOn(t, test.on, func(c *Config) { c.Forwarding.ICMPv4.Unreachable = false })
			b.up(t)
			if err := b.Configure(t.Context(), network()); err != nil {
				t.Fatal(err)
			}
			held, refused := fillUp(t, b, test.k, test.most)
			if refused == nil {
				t.Fatalf("nothing is refused of %d addresses", len(held))
			}
			if !errors.Is(refused, ErrMemory) || !strings.Contains(refused.Error(), "main-heap-size") {
				t.Errorf("refused because of %v", refused)
			}
			t.Logf("%d addresses; %v", len(held), refused)
			if got := read(t, b); !maps.Equal(got, byKey(held)) {
				t.Errorf("read back %d softwires, want %d", len(got), len(held))
			}
			// What is there can be changed, and goes.
			moved := held[0]
			moved.B4 = addr("2001:db8:100:ffff::1")
			var gone []dataplane.Op
			for _, s := range held[1:100] {
				gone = append(gone, dataplane.Op{Kind: dataplane.Remove, Softwire: s})
			}
			apply(t, b, append(gone, dataplane.Op{Kind: dataplane.Put, Softwire: moved}))
			// Then there is room again.
			apply(t, b, puts(held[1:50]))
		})
	}
}

// TestMemoryToBegin: a VPP that has hardly any is left alone. With less heap than
// we begin with VPP does not start.
func TestMemoryToBegin(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{Statistic: "1M"})
	d, err := New(testConfig(v), quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.connect(t.Context()); !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "160M") {
		t.Errorf("connecting: %v", err)
	}
}

// fillUp puts one softwire on each of many addresses until one is refused.
func fillUp(t *testing.T, b *bench, k uint8, most int) (held []softwire.Softwire, refused error) {
	t.Helper()
	for len(held) < most {
		var some []softwire.Softwire
		for i := range 64 {
			n := len(held) + i
			some = append(some, softwire.Softwire{
				IPv4: netip.AddrFrom4([4]byte{100, 64, byte(n >> 8), byte(n)}), PortSet: portSet(k, 1),
				B4: addr(fmt.Sprintf("2001:db8:100::%x", 1+n)), BR: br1,
			})
		}
		results, err := b.Apply(t.Context(), puts(some))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			switch r.Outcome {
			case dataplane.Programmed:
				held = append(held, some[i])
			case dataplane.Retryable:
				refused = r.Err
			default:
				t.Fatalf("%s: %v", some[i], r.Err)
			}
		}
		if refused != nil {
			return held, refused
		}
	}
	return held, nil
}

func TestSizing(t *testing.T) {
	for _, test := range []struct {
		addresses, rules, threads int
		heap, statistics          uint64 // MiB
	}{
		{0, 0, 1, 160, 32},
		{16384, 16384 << 6, 2, 160, 32},
		{65536, 65536 << 10, 9, 1216, 96},
	} {
		heap, statistics := Sizing(test.addresses, test.rules, test.threads)
		if heap>>20 != test.heap || statistics>>20 != test.statistics {
			t.Errorf("%d addresses with %d rules and %d threads: heap %dM, statistics %dM, want %dM, %dM",
				test.addresses, test.rules, test.threads, heap>>20, statistics>>20, test.heap, test.statistics)
		}
	}
}
