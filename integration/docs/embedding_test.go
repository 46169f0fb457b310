package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEmbedding compiles the program of the page, within this module.
func TestEmbedding(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command on the PATH")
	}
	blocks := 0
	for _, b := range load(t, "embedding.md").blocks {
		if b.purpose != "main.go" {
			continue
		}
		blocks++
		lines := 0
		for _, line := range b.lines {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		if lines > 35 {
			t.Errorf("the program has %d lines", lines)
		}
		dir := t.TempDir()
		source, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
		here, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		// A folder that is not there, in the eyes of the compiler.
		text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "embedded", "main.go"): source}})
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{source: []byte(b.text()), overlay: text} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", filepath.Join(dir, "host"), "./embedded").CombinedOutput()
		if err != nil {
			t.Errorf("line %d: %v\n%s", b.line, err, out)
		}
	}
	if blocks != 1 {
		t.Errorf("%d programs were compiled", blocks)
	}
}
