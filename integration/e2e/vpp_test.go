package e2e

import (
	"slices"
	"syscall"
	"testing"

	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// TestVPPForwardsByItself: while lwaftr does not run, for whatever reason, VPP
// goes on, and lwaftr finds what it left.
func TestVPPForwardsByItself(t *testing.T) {
	ctx, s := start(t, scene.Options{VPP: vpptest.Require(t)})
	c := newTalk(ctx, t, s, 1)
	c.say("before")
	must(t, s.RouterProcess().Signal(syscall.SIGKILL))
	<-s.RouterProcess().Done()
	c.say("while it was killed")
	must(t, s.StartRouter(ctx))
	c.say("after it was killed")
	must(t, s.RouterProcess().Stop())
	if err := s.RouterProcess().Wait(); err != nil {
		t.Errorf("SIGTERM ended it with %v, want exit code 0", err)
	}
	c.say("while it was stopped")
	must(t, s.StartRouter(ctx))
	c.say("after it was stopped")
}

// TestVPPRestarts: a VPP that comes back is programmed again, and connections
// go on.
func TestVPPRestarts(t *testing.T) {
	ctx, s := start(t, scene.Options{VPP: vpptest.Require(t)})
	c := newTalk(ctx, t, s, 1)
	c.say("before")
	must(t, s.VPPProcess().Signal(syscall.SIGKILL))
	<-s.VPPProcess().Done()
	must(t, s.StartVPP(ctx))
	c.say("after it was killed")
	status, err := s.Router().Status(ctx)
	must(t, err)
	up := func(i api.Interface) bool { return i.Enabled && i.Link }
	if v := status.Dataplane.VPP; v == nil || len(v.Interfaces) != 2 || slices.ContainsFunc(v.Interfaces, func(i api.Interface) bool { return !up(i) }) {
		t.Errorf("status %+v", status)
	}
	if status.Dataplane.Incarnation != 2 {
		t.Errorf("incarnation %d, want 2", status.Dataplane.Incarnation)
	}
}
