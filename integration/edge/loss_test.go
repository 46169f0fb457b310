package edge

import (
	"context"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// patience bounds what should take some seconds at most.
const patience = time.Minute

// within is a context that ends when patience does.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// TestVPPKilled: the upstream loses the routes with VPP, has them back when a new
// one holds all softwires, and in the end not without an operator.
func TestVPPKilled(t *testing.T) {
	t.Parallel()
	e := begin(t, Options{VPP: vpptest.Require(t), Softwires: 2000, Announce: "hold-down: 100ms, flap-limit: 1"})
	for round := range 2 {
		killed, err := e.KillVPP()
		must(t, err)
		gone, err := e.Withdrawn(within(t))
		must(t, err)
		t.Logf("withdrawn %s after VPP was killed", gone.Sub(killed).Round(time.Millisecond))
		must(t, e.StartVPP(within(t)))
		if round == 0 {
			_, err = e.Announced(within(t))
			must(t, err)
			status, err := e.Client().Status(t.Context())
			must(t, err)
			if w := status.Softwires; w.Programmed != 2000 || w.Pending != 0 {
				t.Errorf("announced with %+v", w)
			}
		}
	}
	for {
		b, err := e.Client().BGP(within(t))
		must(t, err)
		if b.Pools[0].State == "held" {
			break
		}
		if b.Pools[0].State == "announced" {
			t.Fatal("announced without an operator")
		}
	}
	must(t, e.Client().ReleaseHold(t.Context(), "home"))
	_, err := e.Announced(within(t))
	must(t, err)
}

// TestRouterKilled: a router takes its routes with it, whatever forwards, unless
// peers are told to keep them.
func TestRouterKilled(t *testing.T) {
	t.Parallel()
	for name, vpp := range map[string]func(*testing.T) string{
		"forwarder": func(*testing.T) string { return "" },
		"VPP":       func(t *testing.T) string { return vpptest.Require(t) },
	} {
		t.Run(name, func(t *testing.T) {
			e := begin(t, Options{VPP: vpp(t), Softwires: 100, Announce: "hold-down: 100ms"})
			killed, err := e.KillRouter()
			must(t, err)
			gone, err := e.Withdrawn(within(t))
			must(t, err)
			t.Logf("withdrawn %s after the router was killed", gone.Sub(killed).Round(time.Millisecond))
			must(t, e.StartRouter(within(t)))
			_, err = e.Announced(within(t))
			must(t, err)
		})
	}
}

// TestLinkLost: a router whose device is switched off does not forward, and has
// its packets again with the device.
func TestLinkLost(t *testing.T) {
	t.Parallel()
	e := begin(t, Options{Softwires: 100, Announce: "hold-down: 100ms"})
	routed := func() string {
		p, err := e.node.Start("ip", "route", "show", Pool.String())
		must(t, err)
		must(t, p.Wait())
		return p.Output()
	}
	before := routed()
	must(t, e.SetLink(false))
	_, err := e.Withdrawn(within(t))
	must(t, err)
	must(t, e.SetLink(true))
	_, err = e.Announced(within(t))
	must(t, err)
	if after := routed(); after != before || before == "" {
		t.Errorf("the kernel's route was %q and is %q", before, after)
	}
}

// TestSpeakerKilled: a speaker that dies is the matter of its peer alone. It comes
// back with the routes, and nobody takes it for a loss of forwarding.
func TestSpeakerKilled(t *testing.T) {
	t.Parallel()
	e := begin(t, Options{VPP: vpptest.Require(t), Softwires: 100, Leases: true})
	wanted := api.LeaseRequest{B4: netip.MustParseAddr("2001:db8:9000::1"), Mechanism: "static"}
	lease, err := e.Client().Acquire(t.Context(), wanted)
	must(t, err)
	status, err := e.Client().Status(t.Context())
	must(t, err)
	before, err := e.Client().BGP(t.Context())
	must(t, err)
	speaker := before.Peers[0]
	must(t, syscall.Kill(speaker.PID, syscall.SIGKILL))
	_, err = e.Upstream().Await(within(t), bird.Without(Pool))
	must(t, err)
	_, err = e.Announced(within(t))
	must(t, err)
	after, err := e.Client().BGP(t.Context())
	must(t, err)
	if p := after.Peers[0]; p.Starts != speaker.Starts+1 || p.PID == speaker.PID {
		t.Errorf("the speaker is %+v, and was %+v", p, speaker)
	}
	if p := after.Peers[1]; p.Flaps != 0 || p.PID != before.Peers[1].PID {
		t.Errorf("the other speaker is %+v", p)
	}
	if p := after.Pools[0]; p.State != "announced" || p.Withdrawals != 0 || !p.Since.Equal(before.Pools[0].Since) {
		t.Errorf("the pool is %+v", p)
	}
	now, err := e.Client().Status(t.Context())
	must(t, err)
	if now.Dataplane.State != "up" || now.Dataplane.Incarnation != status.Dataplane.Incarnation || now.Softwires.Programmed != 101 {
		t.Errorf("the data plane is %+v, %+v", now.Dataplane, now.Softwires)
	}
	renewed, err := e.Client().Renew(t.Context(), wanted)
	must(t, err)
	if renewed.Key != lease.Key || renewed.State != "bound" {
		t.Errorf("the lease is %+v, and was %+v", renewed, lease)
	}
}

// TestVPPHangs: one that hangs is found out, and trusted again when it was read
// back.
func TestVPPHangs(t *testing.T) {
	t.Parallel()
	e := begin(t, Options{VPP: vpptest.Require(t), Softwires: 100, Announce: "hold-down: 100ms"})
	must(t, e.StopVPP())
	_, err := e.Withdrawn(within(t))
	must(t, err)
	must(t, e.GoOnVPP())
	_, err = e.Announced(within(t))
	must(t, err)
	status, err := e.Client().Status(t.Context())
	must(t, err)
	if status.Dataplane.Incarnation != 1 || status.Softwires.Programmed != 100 {
		t.Errorf("announced with %+v, %+v", status.Dataplane, status.Softwires)
	}
}

// TestUpgrade: with graceful restart the upstream has the routes all along, while
// the router is killed and another one begins, beside a VPP that goes on.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	e := begin(t, Options{VPP: vpptest.Require(t), Softwires: 2000, Peers: "graceful-restart: 60s"})
	before, err := e.Client().Status(t.Context())
	must(t, err)
	_, err = e.KillRouter()
	must(t, err)
	must(t, e.StartRouter(within(t)))
	for settled := false; !settled; {
		routes, err := e.Upstream().Routes()
		must(t, err)
		if !bird.With(Pool, br)(routes) {
			t.Fatalf("the upstream has only %v", routes)
		}
		b, err := e.Client().BGP(within(t))
		must(t, err)
		settled = b.Pools[0].State == "announced" && len(b.Peers[0].Announced)+len(b.Peers[1].Announced) == 2
	}
	after, err := e.Client().Status(t.Context())
	must(t, err)
	if w := after.Softwires; w.Programmed != 2000 || before.Dataplane.VPP.PID != after.Dataplane.VPP.PID {
		t.Errorf("%+v on VPP %d, which was %d", w, after.Dataplane.VPP.PID, before.Dataplane.VPP.PID)
	}
	// What was kept for a restart is gone when the upstream is told that these are
	// all routes; ours are not among that.
	_, err = e.Upstream().Await(within(t), func(routes map[netip.Prefix]string) bool {
		return bird.With(Pool, br)(routes) && !strings.Contains(routes[Pool]+routes[br], "stale")
	})
	must(t, err)
	b, err := e.Client().BGP(t.Context())
	must(t, err)
	if p := b.Pools[0]; p.Withdrawals != 0 {
		t.Errorf("the pool is %+v", p)
	}
}
