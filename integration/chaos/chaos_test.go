package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
)

func TestMain(m *testing.M) {
	maybeChild()
	goleak.VerifyTestMain(m)
}

// skipUnsupported ends a test on a machine where no disk can be put below a child.
func skipUnsupported(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("no system calls can be watched: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestInvariants(t *testing.T) {
	var out strings.Builder
	seed := rand.Uint64()
	total, err := many(t.Context(), os.Args[0], seed, 8, 4, &out)
	skipUnsupported(t, err)
	t.Logf("seed %d: %s", seed, total)
	if len(total.broken) > 0 {
		t.Errorf("seed %d:\n%s", seed, out.String())
	}
	if total.acked == 0 || total.claims == 0 || total.killed == 0 || total.disk.Calls == 0 || total.disk.Losses == 0 || total.lives <= total.runs {
		t.Errorf("seed %d: not everything happened", seed)
	}
}

// caught makes runs until an invariant breaks, which one of those wanted must do.
func caught(t *testing.T, binary string, prepare func(*disk.Disk), wanted ...string) {
	t.Helper()
	seed := rand.Uint64()
	for range 40 {
		seed++
		r, err := execute(t.Context(), binary, seed, prepare)
		skipUnsupported(t, err)
		if len(r.Broken) == 0 {
			continue
		}
		t.Logf("seed %d: %s", seed, r.Broken[0])
		for _, w := range wanted {
			if strings.HasPrefix(r.Broken[0], w) {
				return
			}
		}
		t.Errorf("seed %d: %s; want one of %s", seed, r.Broken[0], wanted)
		return
	}
	t.Errorf("seeds up to %d: nothing broke", seed)
}

func TestLyingDiskIsCaught(t *testing.T) {
	caught(t, os.Args[0], (*disk.Disk).Lie, "I1", "I2", "I3", "I5")
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := execute(ctx, os.Args[0], 1, func(*disk.Disk) {})
	if errors.Is(err, errors.ErrUnsupported) {
		skipUnsupported(t, err)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("execute: %v, want the context's error", err)
	}
}
