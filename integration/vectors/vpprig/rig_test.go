package vpprig

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/integration/vectors/rigtest"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestVectors runs the folder of vectors, where there is one.
func TestVectors(t *testing.T) {
	vpptest.Require(t)
	rigtest.Vectors(t, vectors.Folder("../../.."), Start, Deviations())
}

func TestOwnCases(t *testing.T) {
	vpptest.Require(t)
	rigtest.Run(t, Start)
}

// TestCauses: counters are what causes calls them.
func TestCauses(t *testing.T) {
	vpptest.Require(t)
	started, err := Start(t.Context(), rigtest.Setup(t))
	if err != nil {
		t.Fatal(err)
	}
	counters, err := started.(*rig).driver.Counters(t.Context())
	if err := errors.Join(err, started.Close()); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, e := range counters.Events {
		names[e.Name] = e.Drop
	}
	filtering := vectors.Setup{DropIn: [2]bool{true, true}}
	for name := range causes(filtering) {
		if !names[name] {
			t.Errorf("no counter of drops has the name %s", name)
		}
	}
}
