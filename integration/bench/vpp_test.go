package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// TestVPP runs everything on a VPP at a small scale: what a figure demands of
// its packets must hold here too.
func TestVPP(t *testing.T) {
	vpptest.Require(t)
	small := scale{onVPP: vppScale{
		bindings: 2 * 1008, fewBindings: 1008, flows: 512, rateTime: 20 * time.Millisecond,
		churnTime: 300 * time.Millisecond, changes: 1000, splits: 10, load: 20_000,
	}}
	file := filepath.Join(t.TempDir(), "bench.json")
	var out bytes.Buffer
	onlyVPP := func(s scale) []bench { return []bench{{"vpp", s.vpp}} }
	if err := run(t.Context(), []string{"-repeat", "1", "-o", file}, small, onlyVPP, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if strings.Contains(out.String(), "skipped") {
		t.Fatalf("skipped:\n%s", &out)
	}
	figures := readFigures(t, file)
	if len(figures) != 12 {
		t.Errorf("%d figures:\n%s", len(figures), &out)
	}
	for _, f := range figures {
		if f["name"] == "vpp-churn-lost-untouched" && f["value"] != 0.0 {
			t.Errorf("got %v, want nothing lost", f)
		}
	}
}
