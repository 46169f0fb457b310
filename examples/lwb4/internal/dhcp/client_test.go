package dhcp

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// TestOpenWaitsForTheAddress: a link that comes up while the CPE starts has a
// link-local address soon.
func TestOpenWaitsForTheAddress(t *testing.T) {
	node := nodeWithoutCarrier(t)
	opened := make(chan error)
	go func() {
		opened <- node.Do(func() error {
			c, err := Open(t.Context(), Config{Interface: "wan0"}, logrus.New())
			if err != nil {
				return err
			}
			return c.Close()
		})
	}()
	ip(t, node, "link", "set", "far", "up")
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestOpenWithoutAddress(t *testing.T) {
	node := nodeWithoutCarrier(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := node.Do(func() error {
		_, err := Open(ctx, Config{Interface: "wan0"}, logrus.New())
		return err
	})
	if !errors.Is(err, errNoAddress) {
		t.Errorf("error %v", err)
	}
}

// nodeWithoutCarrier has an interface wan0 that is up, without a link until far is
// up, too.
func nodeWithoutCarrier(t *testing.T) *netlab.Namespace {
	t.Helper()
	netlab.Require(t)
	netlab.RequireProgram(t, "ip", "iproute2")
	lab := netlab.New()
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	node, err := lab.Namespace("cpe")
	if err != nil {
		t.Fatal(err)
	}
	ip(t, node, "link", "add", "wan0", "type", "veth", "peer", "name", "far")
	ip(t, node, "link", "set", "wan0", "up")
	return node
}

func ip(t *testing.T, node *netlab.Namespace, args ...string) {
	t.Helper()
	err := node.Do(func() error {
		out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput()
		if err != nil {
			t.Logf("ip: %s", out)
		}
		return err
	})
	if err != nil {
		t.Fatalf("ip %q: %v", args, err)
	}
}
