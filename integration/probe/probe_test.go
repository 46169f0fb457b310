package probe_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// way is a host, two routers and a server.
type way struct {
	*testing.T
	ctx                  context.Context
	host, r1, r2, server *netlab.Namespace
}

var (
	serverAddr = netip.MustParseAddr("203.0.113.1")
	nowhere    = netip.MustParseAddr("203.0.113.99") // routed to the server, which has it not
)

func newWay(t *testing.T) way {
	t.Helper()
	netlab.Require(t)
	lab := netlab.New()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	w := way{T: t, ctx: ctx}
	t.Cleanup(func() { cancel(); w.must(lab.Close()) })
	for name, ns := range map[string]**netlab.Namespace{"host": &w.host, "r1": &w.r1, "r2": &w.r2, "server": &w.server} {
		var err error
		*ns, err = lab.Namespace(name)
		w.must(err)
	}
	end := func(ns *netlab.Namespace, iface, addr string) netlab.End {
		return netlab.End{Node: ns, Name: iface, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	w.must(lab.Connect(end(w.host, "eth0", "192.0.2.2/24"), end(w.r1, "left", "192.0.2.1/24")))
	w.must(lab.Connect(end(w.r1, "right", "198.51.100.1/24"), end(w.r2, "left", "198.51.100.2/24")))
	w.must(lab.Connect(end(w.r2, "right", "203.0.113.2/24"), end(w.server, "eth0", serverAddr.String()+"/24")))
	w.must(w.r1.Forward())
	w.must(w.r2.Forward())
	all := netip.MustParsePrefix("0.0.0.0/0")
	w.must(w.host.Route(all, netip.MustParseAddr("192.0.2.1")))
	w.must(w.r1.Route(all, netip.MustParseAddr("198.51.100.2")))
	w.must(w.r2.Route(all, netip.MustParseAddr("198.51.100.1")))
	w.must(w.server.Route(all, netip.MustParseAddr("203.0.113.2")))
	return w
}

func (w way) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// serve runs f until the test ends, and expects no error.
func (w way) serve(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(w.ctx)
	var group errgroup.Group
	group.Go(func() error { return f(ctx) })
	w.Cleanup(func() { cancel(); w.must(group.Wait()) })
}

func TestTransfers(t *testing.T) {
	w := newWay(t)
	l, err := probe.Listen(w.server, "203.0.113.1:80")
	w.must(err)
	w.serve(probe.FileServer{Listener: l}.Run)
	const size = 3_000_001
	down, err := probe.Download(w.ctx, w.host, "203.0.113.1:80", size)
	w.must(err)
	up, err := probe.Upload(w.ctx, w.host, "203.0.113.1:80", size)
	w.must(err)
	if down.Bytes != size || up.Bytes != size || len(down.Sum) != 64 || down.Sum == up.Sum {
		t.Errorf("downloaded %+v, uploaded %+v", down, up)
	}
	if _, err := probe.Download(w.ctx, w.host, "203.0.113.1:80", -1); err == nil {
		t.Error("downloaded less than nothing")
	}
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := probe.Download(ended, w.host, "203.0.113.1:80", size); !errors.Is(err, context.Canceled) {
		t.Errorf("download under an ended context: %v", err)
	}
}

func (w way) echo() netip.AddrPort {
	at := netip.AddrPortFrom(serverAddr, 7)
	d, err := probe.OpenDatagram(w.server, at)
	w.must(err)
	w.Cleanup(func() { w.must(d.Close()) })
	w.serve(d.Echo)
	return at
}

func TestExchange(t *testing.T) {
	w := newWay(t)
	echo := w.echo()
	d, err := probe.OpenDatagram(w.host, netip.MustParseAddrPort("192.0.2.2:0"))
	w.must(err)
	defer d.Close()
	for _, payload := range [][]byte{[]byte("short"), bytes.Repeat([]byte("long"), 1000)} {
		const tos = 0xb8 | 2
		r, err := d.Exchange(w.ctx, echo, tos, payload)
		w.must(err)
		if r.TOS != tos || !bytes.Equal(r.Payload, payload) || r.From != echo {
			t.Errorf("%d octets with TOS %#x came back from %s", len(r.Payload), r.TOS, r.From)
		}
	}
	short, cancel := context.WithTimeout(w.ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := d.Exchange(short, netip.AddrPortFrom(nowhere, 7), 0, []byte("lost")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("exchange with nobody: %v", err)
	}
}

func TestPing(t *testing.T) {
	w := newWay(t)
	p, err := probe.Ping(w.ctx, w.host, serverAddr, 3, 1000)
	w.must(err)
	if p.Sent != 3 || p.Received != 3 || p.Mean <= 0 {
		t.Errorf("ping: %+v", p)
	}
	if p, err = probe.Ping(w.ctx, w.host, nowhere, 1, 10); err != nil || p.Sent != 1 || p.Received != 0 {
		t.Errorf("ping to nobody: %+v, %v", p, err)
	}
}

func TestTraceroute(t *testing.T) {
	w := newWay(t)
	hops, err := probe.Traceroute(w.ctx, w.host, serverAddr, 10)
	w.must(err)
	var names []string
	for _, h := range hops {
		names = append(names, h.String())
	}
	if got, want := strings.Join(names, " "), "192.0.2.1 198.51.100.2 203.0.113.1"; got != want {
		t.Errorf("way %s, want %s", got, want)
	}
}

func TestPathMTU(t *testing.T) {
	w := newWay(t)
	echo := w.echo()
	mtu, err := probe.PathMTU(w.ctx, w.host, echo, 1500)
	w.must(err)
	if mtu != 1500 {
		t.Errorf("path MTU %d, want 1500", mtu)
	}
	w.must(w.r1.SetMTU("right", 1300))
	mtu, err = probe.PathMTU(w.ctx, w.host, echo, 1500)
	w.must(err)
	if mtu != 1300 {
		t.Errorf("path MTU %d, want 1300", mtu)
	}
}

func TestSendIPv6FromAnySource(t *testing.T) {
	w := newWay(t)
	w.must(w.r1.Address("right", netip.MustParsePrefix("2001:db8::1/64")))
	w.must(w.r2.Address("left", netip.MustParsePrefix("2001:db8::2/64")))
	capture, err := w.r2.Capture("left")
	w.must(err)
	defer capture.Close()
	inner := probe.UDP4(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), []byte("inner"))
	packet := probe.Encapsulate(netip.MustParseAddr("2001:db8:f::f"), netip.MustParseAddr("2001:db8::2"), inner)
	w.must(probe.SendIPv6(w.r1, packet))
	for {
		f, err := capture.Next(w.ctx)
		w.must(err)
		if !bytes.Equal(f.Packet(), packet) {
			continue
		}
		want := "IPv6 2001:db8:f::f > 2001:db8::2 [ IPv4 192.0.2.1 > 192.0.2.2: UDP 1 > 2, 5 octets ]"
		if got := probe.Describe(f.Packet()); got != want {
			t.Errorf("described as %q, want %q", got, want)
		}
		break
	}
	if err := probe.SendIPv6(w.r1, inner); err == nil {
		t.Error("an IPv4 packet was sent as IPv6")
	}
}

func FuzzDescribe(f *testing.F) {
	inner := probe.UDP4(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), []byte("inner"))
	whole := probe.Encapsulate(netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), inner)
	for n := range whole {
		f.Add(whole[:n])
	}
	f.Add(inner)
	f.Fuzz(func(t *testing.T, packet []byte) {
		line := probe.Describe(packet)
		if line == "" || strings.Contains(line, "\n") {
			t.Errorf("described as %q", line)
		}
	})
}
