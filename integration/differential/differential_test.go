package differential

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// seedFlag reproduces one scenario.
var seedFlag = flag.String("seed", "", "run only the scenario of this seed (also LW4O6_SEED)")

const (
	// fixedSeeds are always run, from 1 on, so that what they cover is certain.
	fixedSeeds = 150
	// randomSeeds are run besides, from a random one on; LW4O6_SCENARIOS is
	// another number of them.
	randomSeeds = 150
)

// number reads a number that was given in words.
func number(t *testing.T, what, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return n
}

// agrees runs the scenarios of n seeds and reports what differs, shrunk.
func agrees(t *testing.T, first, n uint64) Coverage {
	t.Helper()
	var cover Coverage
	for seed := first; seed != first+n; seed++ {
		s := Generate(seed)
		d, c, err := Run(t.Context(), s)
		cover.Add(c)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d == nil {
			continue
		}
		small := Shrink(s, func(s *Scenario) bool {
			d, _, err := Run(t.Context(), s)
			return err == nil && d != nil
		})
		if e, _, err := Run(t.Context(), small); err == nil && e != nil {
			d = e
		}
		t.Fatalf("%s", d)
	}
	return cover
}

func TestForwarderAgreesWithReference(t *testing.T) {
	seed := os.Getenv("LW4O6_SEED")
	if *seedFlag != "" {
		seed = *seedFlag
	}
	if seed != "" {
		agrees(t, number(t, "seed", seed), 1)
		return
	}

	t.Run("fixed seeds", func(t *testing.T) {
		cover := agrees(t, 1, fixedSeeds)
		t.Logf("%d scenarios, %d packets in, %d out, %d exceptions, %d flows",
			cover.Scenarios, cover.Packets, cover.Sent, cover.Exceptions, cover.Flows)
		if cover.Exceptions == 0 || cover.Sent < cover.Packets/5 {
			t.Errorf("of %d packets only %d came out, and %d exceptions", cover.Packets, cover.Sent, cover.Exceptions)
		}
		// A flow label that is the same for all flows helps nobody.
		if cover.Labels < cover.Flows*9/10 {
			t.Errorf("%d flows have only %d flow labels", cover.Flows, cover.Labels)
		}
		for e := range forwarder.Events {
			switch e {
			case forwarder.LimitedICMPv4, forwarder.LimitedICMPv6:
				// Rates are not limited.
				continue
			}
			if cover.Events[e.String()] == 0 {
				t.Errorf("%s never happened", e)
			}
		}
	})

	t.Run("random seeds", func(t *testing.T) {
		n := uint64(randomSeeds)
		if text := os.Getenv("LW4O6_SCENARIOS"); text != "" {
			n = number(t, "LW4O6_SCENARIOS", text)
		}
		first := rand.Uint64()
		t.Logf("%d seeds from %d on", n, first)
		cover := agrees(t, first, n)
		t.Logf("%d packets in, %d out, %d exceptions", cover.Packets, cover.Sent, cover.Exceptions)
	})
}

// FuzzScenario looks for seeds whose scenarios differ.
func FuzzScenario(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { agrees(t, seed, 1) })
}
