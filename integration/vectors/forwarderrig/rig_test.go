package forwarderrig

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/integration/vectors/rigtest"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// TestVectors runs the folder of vectors, where there is one.
func TestVectors(t *testing.T) {
	rigtest.Vectors(t, vectors.Folder("../../.."), Start, nil)
}

func TestOwnCases(t *testing.T) { rigtest.Run(t, Start) }

// TestStartRefuses shows that a setup the forwarder cannot have is an error.
func TestStartRefuses(t *testing.T) {
	bad := rigtest.Setup(t)
	bad.TunnelMTU = 100
	if _, err := Start(context.Background(), bad); err == nil || !strings.Contains(err.Error(), "tunnel-mtu") {
		t.Errorf("a tunnel MTU of 100: %v", err)
	}
	bad = rigtest.Setup(t)
	bad.Softwires = append(bad.Softwires, bad.Softwires[0])
	bad.Softwires[1].PortSet = portset.PortSet{}
	if _, err := Start(context.Background(), bad); !errors.Is(err, softwire.ErrConflict) {
		t.Errorf("overlapping softwires: %v", err)
	}
}
