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

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// Without namespaces every test is skipped, and nothing needs building.
	if netlab.Available() == nil {
		folder, err := os.MkdirTemp("", "lw4o6-edge-")
		if err == nil {
			defer os.RemoveAll(folder)
			binaries, err = scene.Build(context.Background(), folder)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
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
