package plugin

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/configtest"
)

// TestReferenceLoads: the reference is a good file as it is, and says nothing
// but the defaults besides its examples.
func TestReferenceLoads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reference.yaml")
	if err := os.WriteFile(path, []byte(Reference()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
	want := []string{"pools", "softwires.static"}
	if diff := cmp.Diff(want, config.Changed(DefaultConfig(), f.Config)); diff != "" {
		t.Errorf("differs from the defaults: -want +got:\n%s", diff)
	}
}

// TestReferenceCoversEverything: with its examples switched on, the reference
// has every key, and above each what holds if it is left out.
func TestReferenceCoversEverything(t *testing.T) {
	c := unchecked(DefaultConfig())
	if leaves := configtest.Covers(t, Reference(), &c); leaves < 60 {
		t.Errorf("only %d keys were looked at", leaves)
	}
}

// unchecked is a Config that is read without being validated: examples of all
// kinds do not go together.
type unchecked Config
