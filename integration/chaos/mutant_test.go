package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
	"github.com/lwaftr/lw4o6/integration/mutant"
)

// A build in which one thing is wrong is caught.
func TestMutantsAreCaught(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("builds with the go command, which is missing")
	}
	for name, m := range map[string]struct {
		file     string
		old, new string
		wanted   []string
	}{
		"fsync removed": {
			"store/bolt/file.go", "NoFreelistSync:  true,", "NoFreelistSync: true, NoSync: true,",
			// Whatever was stored last is lost: a lease, a hold-down, an event.
			[]string{"I1", "I2", "I3", "I5"},
		},
		"hold-down skipped": {
			"lease/leave.go",
			"l.Until = ceil(now.Add(st.def.HoldDown)).time()", "_ = st",
			[]string{"I3"},
		},
		"granted before it is durable": {
			"store/bolt/store.go",
			"return s.submit(ctx, newRequest(batch))", "go s.submit(context.Background(), newRequest(batch)); return nil",
			[]string{"I1", "I2", "I3", "I5"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caught(t, buildMutant(t, m.file, m.old, m.new), func(*disk.Disk) {}, m.wanted...)
		})
	}
}

// buildMutant builds this program with text of one file below plugin replaced.
func buildMutant(t *testing.T, file, old, replacement string) string {
	t.Helper()
	folder := t.TempDir()
	overlay, err := mutant.Overlay(folder, filepath.Join("../../plugin", file), old, replacement)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "chaos")
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}
