package netlab_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is two hosts with a router between them.
type line struct {
	lab                 *netlab.Lab
	left, router, right *netlab.Namespace
}

const (
	leftAddr  = "192.0.2.1"
	rightAddr = "198.51.100.1"
)

func newLine(t *testing.T) line {
	t.Helper()
	netlab.Require(t)
	l := line{lab: netlab.New()}
	t.Cleanup(func() { check(t, l.lab.Close()) })
	l.left, l.router, l.right = node(t, l.lab, "left"), node(t, l.lab, "router"), node(t, l.lab, "right")
	check(t, l.router.Forward())
	check(t, l.lab.Connect(end(l.left, "eth0", leftAddr+"/24"), end(l.router, "left", "192.0.2.254/24", "2001:db8:1::1/64")))
	check(t, l.lab.Connect(end(l.right, "eth0", rightAddr+"/24"), end(l.router, "right", "198.51.100.254/24")))
	everything := netip.MustParsePrefix("0.0.0.0/0")
	check(t, l.left.Route(everything, netip.MustParseAddr("192.0.2.254")))
	check(t, l.right.Route(everything, netip.MustParseAddr("198.51.100.254")))
	return l
}

func node(t *testing.T, lab *netlab.Lab, name string) *netlab.Namespace {
	t.Helper()
	ns, err := lab.Namespace(name)
	check(t, err)
	return ns
}

func end(ns *netlab.Namespace, iface string, addrs ...string) netlab.End {
	e := netlab.End{Node: ns, Name: iface}
	for _, a := range addrs {
		e.Addrs = append(e.Addrs, netip.MustParsePrefix(a))
	}
	return e
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTrafficCrossesRouterAndIsCaptured(t *testing.T) {
	l := newLine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	capture, err := l.router.Capture("right")
	check(t, err)
	defer func() { check(t, capture.Close()) }()

	server := listen(t, l.right, rightAddr+":7")
	client := listen(t, l.left, leftAddr+":1000")
	const text = "through the router"
	_, err = client.WriteTo([]byte(text), server.LocalAddr())
	check(t, err)
	buf := make([]byte, 100)
	check(t, server.SetReadDeadline(time.Now().Add(20*time.Second)))
	n, from, err := server.ReadFrom(buf)
	check(t, err)
	if string(buf[:n]) != text || from.String() != client.LocalAddr().String() {
		t.Errorf("received %q from %s, want %q from %s", buf[:n], from, text, client.LocalAddr())
	}
	for {
		f, err := capture.Next(ctx)
		check(t, err)
		if strings.HasSuffix(string(f.Packet()), text) {
			if !f.Outgoing {
				t.Error("the router's own frame is not marked as outgoing")
			}
			break
		}
	}
}

func listen(t *testing.T, ns *netlab.Namespace, addr string) net.PacketConn {
	t.Helper()
	var conn net.PacketConn
	check(t, ns.Do(func() (err error) {
		conn, err = net.ListenPacket("udp4", addr)
		return err
	}))
	t.Cleanup(func() { check(t, conn.Close()) })
	return conn
}

func TestCaptureDrainAndContext(t *testing.T) {
	l := newLine(t)
	capture, err := l.left.Capture("eth0")
	check(t, err)
	defer func() { check(t, capture.Close()) }()
	if _, err := capture.Drain(); err != nil {
		t.Fatal(err)
	}
	conn := listen(t, l.left, leftAddr+":0")
	for range 3 {
		_, err := conn.WriteTo([]byte("out"), &net.UDPAddr{IP: net.ParseIP(rightAddr), Port: 9})
		check(t, err)
	}
	// Sending on a veth link captures at once; the first may be held back by ARP.
	deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	found := 0
	for found < 3 {
		f, err := capture.Next(deadline)
		check(t, err)
		if f.Outgoing && strings.HasSuffix(string(f.Packet()), "out") {
			found++
		}
	}
	ended, cancelNow := context.WithCancel(t.Context())
	cancelNow()
	for {
		_, err := capture.Next(ended)
		if errors.Is(err, context.Canceled) {
			break
		}
		check(t, err)
	}
	_, err = capture.Drain()
	check(t, err)
}

func TestMTUAndLinkState(t *testing.T) {
	l := newLine(t)
	check(t, l.router.SetMTU("right", 1280))
	var mtu int
	check(t, l.router.Do(func() error {
		link, err := net.InterfaceByName("right")
		if err == nil {
			mtu = link.MTU
		}
		return err
	}))
	if mtu != 1280 {
		t.Errorf("mtu is %d, want 1280", mtu)
	}
	check(t, l.router.SetIPv6MTU("left", 1300))
	if err := l.router.SetIPv6MTU("left", 1); err == nil {
		t.Error("an IPv6 MTU of 1 was accepted")
	}
	check(t, l.router.SetUp("right", false))
	check(t, l.router.SetUp("right", true))
	if err := l.router.SetMTU("absent", 1500); err == nil || !strings.Contains(err.Error(), "router: interface absent") {
		t.Errorf("setting the MTU of an absent interface: %v", err)
	}
}

func TestProcessRunsInside(t *testing.T) {
	l := newLine(t)
	p, err := l.left.Start("cat", "/proc/net/dev")
	check(t, err)
	check(t, p.Wait())
	if out := p.Output(); !strings.Contains(out, "eth0") || strings.Contains(out, "right") {
		t.Errorf("the process sees these interfaces, want eth0 and not right:\n%s", out)
	}
	check(t, p.Stop())
	check(t, p.Signal(os.Interrupt))
	if _, err := l.left.Start("no-such-program"); err == nil {
		t.Error("a missing program started")
	}
}

func TestCloseStopsProcesses(t *testing.T) {
	netlab.Require(t)
	lab := netlab.New()
	ns := node(t, lab, "lonely")
	p, err := ns.Start("sleep", "1000")
	check(t, err)
	check(t, lab.Close())
	select {
	case <-p.Done():
	default:
		t.Error("a process outlives its lab")
	}
	if _, err := lab.Namespace("late"); err == nil {
		t.Error("a closed lab made a namespace")
	}
	check(t, lab.Close())
}

func TestNamespacesDoNotLeak(t *testing.T) {
	netlab.Require(t)
	before := descriptors(t)
	for range 20 {
		lab := netlab.New()
		a, b := node(t, lab, "a"), node(t, lab, "b")
		check(t, lab.Connect(end(a, "x", "192.0.2.1/30"), end(b, "x", "192.0.2.2/30")))
		check(t, lab.Close())
	}
	if after := descriptors(t); after > before+2 {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(all)
}

// recorder is a Test that records how it ended.
type recorder struct{ skipped, failed bool }

func (*recorder) Helper()                 {}
func (r *recorder) Skipf(string, ...any)  { r.skipped = true }
func (r *recorder) Fatalf(string, ...any) { r.failed = true }

func TestRequire(t *testing.T) {
	available := netlab.Available() == nil
	for _, row := range []struct {
		name, value string
		want        recorder
	}{
		{"not required", "", recorder{skipped: !available}},
		{"required", "1", recorder{failed: !available}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv(netlab.RequireVariable, row.value)
			var got recorder
			netlab.Require(&got)
			if got != row.want {
				t.Errorf("ended with %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestRequireProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	check(t, os.WriteFile(filepath.Join(os.Getenv("PATH"), "here"), nil, 0o755))
	for _, row := range []struct {
		program string
		want    recorder
	}{
		{"here", recorder{}},
		{"missing", recorder{skipped: true}},
	} {
		var got recorder
		netlab.RequireProgram(&got, row.program, "some-package")
		if got != row.want {
			t.Errorf("%s: ended with %+v, want %+v", row.program, got, row.want)
		}
	}
	err := netlab.Installed("missing", "some-package")
	if want := "needs missing, of the package some-package"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
