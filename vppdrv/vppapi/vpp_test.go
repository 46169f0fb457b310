package vppapi_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	interfaces "go.fd.io/govpp/binapi/interface"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/binapi/vpe"

	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// TestVPP talks to a real VPP, which then hangs for a while and is killed.
func TestVPP(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	c, err := vppapi.Dial(t.Context(), v.API, "test")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(context.Background()) }()

	version, err := vpe.NewServiceClient(c).ShowVersion(t.Context(), &vpe.ShowVersion{})
	if err != nil || !strings.HasPrefix(version.Version, "2") {
		t.Errorf("show_version: %+v, %v", version, err)
	}
	if names := list(t, c); len(names) != 1 || names[0] != "local0" {
		t.Errorf("interfaces %q", names)
	}

	v.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var reply memclnt.ControlPingReply
	if err := c.Invoke(ctx, &memclnt.ControlPing{}, &reply); !errors.Is(err, vppapi.ErrNoAnswer) {
		t.Errorf("ping of a VPP that hangs: %v", err)
	}
	v.Resume()
	if err := c.Invoke(t.Context(), &memclnt.ControlPing{}, &reply); err != nil || int(reply.VpePID) != v.PID() {
		t.Errorf("ping: pid %d, %v, want %d", reply.VpePID, err, v.PID())
	}

	v.Kill()
	if err := <-ended; !errors.Is(err, vppapi.ErrClosed) {
		t.Errorf("Run after VPP was killed: %v", err)
	}
	if _, err := vppapi.Dial(t.Context(), v.API, "test"); err == nil {
		t.Error("a killed VPP answers")
	}
}

// list reads the interfaces by a generated client of a dump.
func list(t *testing.T, c *vppapi.Conn) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dump, err := interfaces.NewServiceClient(c).SwInterfaceDump(ctx, &interfaces.SwInterfaceDump{SwIfIndex: ^interfaces.SwInterfaceDump{}.SwIfIndex})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for {
		d, err := dump.Recv()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimRight(d.InterfaceName, "\x00"))
	}
}
