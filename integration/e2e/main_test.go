package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// binaries are built once for all tests.
var binaries scene.Binaries

func TestMain(m *testing.M) {
	// Commands that look for races linger for a second when they end.
	err := os.Setenv("GORACE", "atexit_sleep_ms=10")
	var folder string
	if err == nil {
		folder, err = os.MkdirTemp("", "lw4o6-e2e-")
	}
	// Without namespaces every test is skipped, and nothing needs building.
	if err == nil && netlab.Available() == nil {
		binaries, err = scene.Build(context.Background(), folder, buildFlags...)
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

// patience bounds most tests: everything in it takes a few seconds, and a
// machine under load some times that.
const patience = 3 * time.Minute

// start brings a scene up for one test.
func start(t *testing.T, o scene.Options) (context.Context, *scene.Scene) {
	t.Helper()
	return startFor(t, o, patience)
}

// startFor is start for a test that may take so long.
func startFor(t *testing.T, o scene.Options, most time.Duration) (context.Context, *scene.Scene) {
	t.Helper()
	netlab.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), most)
	t.Cleanup(cancel)
	if o.Binaries == (scene.Binaries{}) {
		o.Binaries = binaries
	}
	s, err := scene.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("lwaftr wrote:\n%s", s.RouterProcess().Output())
			if p := s.VPPProcess(); p != nil {
				t.Logf("VPP wrote:\n%s", p.Output())
			}
			for number := 1; number <= scene.Subscribers; number++ {
				if p := s.CPEProcess(number); p != nil {
					t.Logf("lwb4 of subscriber %d wrote:\n%s", number, p.Output())
				}
			}
		}
	})
	return ctx, s
}

// onBoth runs a test on both data planes. Options are those of the scene.
func onBoth(t *testing.T, test func(t *testing.T, o scene.Options)) {
	t.Helper()
	t.Run("forwarder", func(t *testing.T) { test(t, scene.Options{}) })
	t.Run("VPP", func(t *testing.T) { test(t, scene.Options{VPP: vpptest.Require(t)}) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
