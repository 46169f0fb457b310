package edge

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
)

// binaries are built once for all tests.
var binaries scene.Binaries

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "lw4o6-edge-")
	// Without namespaces every test is skipped, and nothing needs building.
	if err == nil && netlab.Available() == nil {
		binaries, err = scene.Build(context.Background(), folder)
	}
	end := func(code int) {
		_ = os.RemoveAll(folder)
		os.Exit(code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		end(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(end))
}

// begin builds an edge for one test.
func begin(t *testing.T, o Options) *Edge {
	t.Helper()
	netlab.Require(t)
	netlab.RequireProgram(t, bird.Program, bird.Package)
	o.Lwaftr = binaries.Lwaftr
	e, err := Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
