package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
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
			caught(t, mutant(t, m.file, m.old, m.new), func(*disk.Disk) {}, m.wanted...)
		})
	}
}

// mutant builds this program with text of one file below plugin replaced.
func mutant(t *testing.T, file, old, replacement string) string {
	t.Helper()
	folder := t.TempDir()
	original, err := filepath.Abs(filepath.Join("../../plugin", file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(source), old, replacement, 1)
	if changed == string(source) {
		t.Fatalf("%s has no %q any more", original, old)
	}
	copied, overlay, binary := filepath.Join(folder, "mutant.go"), filepath.Join(folder, "overlay.json"), filepath.Join(folder, "chaos")
	if err := os.WriteFile(copied, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {original: copied}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}
