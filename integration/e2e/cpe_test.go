package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// provisioned is a scene whose CPEs ask for their softwires by PCP.
func provisioned(t *testing.T, o scene.Options) (context.Context, *scene.Scene) {
	o.Provision = scene.ProvisionPCP
	return start(t, o)
}

// reaches waits until a host's datagrams are echoed, and says how long that took.
func reaches(ctx context.Context, t *testing.T, host *netlab.Namespace, to netip.AddrPort) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		d, err := probe.OpenDatagram(host, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
		must(t, err)
		try, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err = d.Exchange(try, to, 0, []byte("are you there?"))
		cancel()
		d.Close()
		switch {
		case err == nil:
			return time.Since(begin)
		case ctx.Err() != nil:
			t.Fatalf("%s is not reached: %v", to, err)
		}
	}
}

// TestBindingIsLost: the lwAFTR ends a subscriber's lease behind its back, and says
// so by ICMPv6 type 1 code 5. The CPE gets another one.
func TestBindingIsLost(t *testing.T) { onBoth(t, testBindingIsLost) }

func testBindingIsLost(t *testing.T, o scene.Options) {
	ctx, s := provisioned(t, o)
	reaches(ctx, t, s.Hosts[0], s.Echo())
	before, err := s.Holds(ctx, 1)
	must(t, err)
	if len(before) != 1 {
		t.Fatalf("holds %v", before)
	}
	lost := api.FromKey(before[0].Key())
	other := api.LeaseRequest{B4: netip.MustParseAddr("2001:db8:9::1"), Mechanism: "pcp", Pool: "shared", Want: &lost}
	// What it had is for somebody else from now on. That is to be had after the
	// hold-down, and the CPE may be back before.
	for {
		_, removed := s.Router().Remove(ctx, api.RemoveRequest{Key: lost})
		if _, err = s.Router().Reserve(ctx, other); err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(removed, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	took := reaches(ctx, t, s.Hosts[0], s.Echo())
	after, err := s.Holds(ctx, 1)
	must(t, err)
	if out := s.CPEProcess(1).Output(); !strings.Contains(out, "no binding") {
		t.Errorf("nothing is said of it:\n%s", out)
	}
	if len(after) != 1 || after[0] == before[0] {
		t.Fatalf("holds %v, it was %v", after, before)
	}
	t.Logf("from %s to %s: traffic again after %s", before[0], after[0], took.Round(time.Millisecond))
}

// TestAFTRLosesItsStore: everything the lwAFTR knew is gone.
func TestAFTRLosesItsStore(t *testing.T) { onBoth(t, testAFTRLosesItsStore) }

func testAFTRLosesItsStore(t *testing.T, o scene.Options) {
	ctx, s := provisioned(t, o)
	reaches(ctx, t, s.Hosts[0], s.Echo())
	must(t, s.RouterProcess().Stop())
	_ = s.RouterProcess().Wait() // it was told to stop
	must(t, os.Remove(s.Store()))
	must(t, s.StartRouter(ctx))
	for i, host := range s.Hosts {
		took := reaches(ctx, t, host, s.Echo())
		after, err := s.Holds(ctx, i+1)
		must(t, err)
		if len(after) == 0 {
			t.Fatal("traffic without a binding")
		}
		t.Logf("host%d: traffic %s after the lwAFTR was back, on %s", i+1, took.Round(time.Millisecond), after[0])
	}
}

// TestMoveToAnotherAFTR: the lwAFTR vanishes, and the CPEs turn to another one that
// shares nothing with it, and back when that vanishes too.
func TestMoveToAnotherAFTR(t *testing.T) { onBoth(t, testMoveToAnotherAFTR) }

func testMoveToAnotherAFTR(t *testing.T, o scene.Options) {
	o.Second = true
	ctx, s := provisioned(t, o)
	reaches(ctx, t, s.Hosts[0], s.Echo())
	must(t, s.Access.SetUp(scene.AccessAFTR, false))
	took := reaches(ctx, t, s.Hosts[0], s.Echo())
	if out := s.CPEProcess(1).Output(); !strings.Contains(out, fmt.Sprintf("from lwAFTR %s to %s", scene.BR, scene.SecondBR)) {
		t.Errorf("nothing is said of it:\n%s", out)
	}
	t.Logf("traffic by the second lwAFTR after %s", took.Round(time.Millisecond))
}
