package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// talk is a TCP connection from a subscriber's host to a server that sends
// back what it receives.
type talk struct {
	*testing.T
	conn net.Conn
}

func newTalk(ctx context.Context, t *testing.T, s *scene.Scene, number int) talk {
	t.Helper()
	l, err := probe.Listen(s.Internet, "203.0.113.1:1234")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	conn, err := probe.Dial(ctx, s.Hosts[number-1], "tcp4", "203.0.113.1:1234")
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	server := <-accepted
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(server, server) // ends with the connection
	}()
	t.Cleanup(func() { server.Close(); <-done })
	return talk{t, conn}
}

// say sends a line and waits for it to come back.
func (c talk) say(line string) {
	c.Helper()
	must(c.T, c.conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err := io.WriteString(c.conn, line)
	must(c.T, err)
	back := make([]byte, len(line))
	_, err = io.ReadFull(c.conn, back)
	must(c.T, err)
	if string(back) != line {
		c.Errorf("%q came back as %q", line, back)
	}
}

// TestConnectionOutlivesRouter kills the lwAFTR: it keeps no state, so that a
// connection goes on when it is back.
func TestConnectionOutlivesRouter(t *testing.T) {
	for name, devices := range map[string]scene.Devices{"tun": scene.DevicesTUN, "packet": scene.DevicesPacket} {
		t.Run(name, func(t *testing.T) {
			ctx, s := start(t, scene.Options{Devices: devices})
			c := newTalk(ctx, t, s, 1)
			c.say("before")
			must(t, s.RouterProcess().Signal(syscall.SIGKILL))
			<-s.RouterProcess().Done()
			must(t, s.StartRouter(ctx))
			c.say("after it was killed")
			must(t, s.RouterProcess().Stop())
			if err := s.RouterProcess().Wait(); err != nil {
				t.Errorf("SIGTERM ended it with %v, want exit code 0", err)
			}
			must(t, s.StartRouter(ctx))
			c.say("after it was stopped")
		})
	}
}

func TestCPERestartsCleanly(t *testing.T) {
	ctx, s := start(t, scene.Options{})
	p := s.CPEProcess(1)
	must(t, p.Stop())
	if err := p.Wait(); err != nil {
		t.Errorf("SIGTERM ended it with %v, want exit code 0", err)
	}
	names, err := s.CPEs[0].Interfaces()
	must(t, err)
	for _, name := range names {
		if name == "softwire" {
			t.Error("the stopped CPE left its device")
		}
	}
	must(t, s.StartCPE(ctx, 1))
	must(t, s.CPEProcess(1).Signal(syscall.SIGKILL))
	<-s.CPEProcess(1).Done()
	// What a killed one leaves is taken over.
	must(t, s.StartCPE(ctx, 1))
	reachable(ctx, t, s, 1)
}

// reachable expects a datagram of a subscriber to be echoed.
func reachable(ctx context.Context, t *testing.T, s *scene.Scene, number int) {
	t.Helper()
	if err := echo(ctx, t, s, number); err != nil {
		t.Errorf("subscriber %d: %v", number, err)
	}
}

func echo(ctx context.Context, t *testing.T, s *scene.Scene, number int) error {
	t.Helper()
	d, err := probe.OpenDatagram(s.Hosts[number-1], netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	must(t, err)
	defer d.Close()
	_, err = d.Exchange(ctx, s.Echo(), 0, []byte("hello"))
	return err
}

func TestReloadTakesSoftwireAwayAndBack(t *testing.T) { onBoth(t, testReloadTakesSoftwireAwayAndBack) }

func testReloadTakesSoftwireAwayAndBack(t *testing.T, o scene.Options) {
	ctx, s := start(t, o)
	reachable(ctx, t, s, 1)
	reachable(ctx, t, s, 2)

	_, err := s.ConfigureRouter(1)
	must(t, err)
	result, err := s.Router().Reload(ctx)
	must(t, err)
	if result.Removed != 1 || result.Put != 0 {
		t.Errorf("the reload did %+v, want one softwire removed", result)
	}
	reachable(ctx, t, s, 1)
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if err := echo(short, t, s, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("subscriber 2 has no softwire, and its echo ended with %v", err)
	}

	_, err = s.ConfigureRouter(1, 2)
	must(t, err)
	result, err = s.Router().Reload(ctx)
	must(t, err)
	if result.Removed != 0 || result.Put != 1 {
		t.Errorf("the reload did %+v, want one softwire put", result)
	}
	reachable(ctx, t, s, 2)
}

func TestBadReloadChangesNothing(t *testing.T) { onBoth(t, testBadReloadChangesNothing) }

func testBadReloadChangesNothing(t *testing.T, o scene.Options) {
	ctx, s := start(t, o)
	path, err := s.ConfigureRouter(1)
	must(t, err)
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), "psid: 1", "psid: 64", 1)), 0o600))
	_, err = s.Router().Reload(ctx)
	var refused *api.Error
	if !errors.As(err, &refused) || len(refused.Details) != 1 || !strings.Contains(refused.Details[0], "lwaftr.yaml:") {
		t.Errorf("the reload ended with %v, want one line with the place of the error", err)
	}
	reachable(ctx, t, s, 1)
	reachable(ctx, t, s, 2)
}
