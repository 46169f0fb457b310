package docs

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestConfigurationPage: the page is what the reference makes of it.
func TestConfigurationPage(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command on the PATH")
	}
	want, err := exec.CommandContext(t.Context(), "go", "run", "./configuration").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, filepath.Join("..", "..", "docs", "configuration.md"))
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/configuration.md is not current; `make docs` makes it anew: -reference +page:\n%s", diff)
	}
}
