package e2e

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
)

// TestChecksNoticeADeadRouter makes sure that the checks can fail.
func TestChecksNoticeADeadRouter(t *testing.T) { onBoth(t, testChecksNoticeADeadRouter) }

func testChecksNoticeADeadRouter(t *testing.T, o scene.Options) {
	ctx, s := start(t, o)
	must(t, s.RouterProcess().Stop())
	if vpp := s.VPPProcess(); vpp != nil {
		must(t, vpp.Stop()) // it forwards also without lwaftr
	}
	for _, check := range scene.Checks() {
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		if r := s.Run(short, check); r.Err == nil {
			t.Errorf("%s: passed without a router: %s", r.Name, r.Evidence)
		}
		cancel()
	}
}

// TestManyConnections opens connections of both subscribers at once and looks
// at the ports that the server sees.
func TestManyConnections(t *testing.T) { onBoth(t, testManyConnections) }

func testManyConnections(t *testing.T, o scene.Options) {
	o.Params = params(t, 6, 6)
	ctx, s := start(t, o)
	l, err := probe.Listen(s.Internet, "203.0.113.1:1234")
	must(t, err)
	defer l.Close()
	const each = 150
	var group errgroup.Group
	seen := map[netip.AddrPort]bool{}
	group.Go(func() error {
		for range each * scene.Subscribers {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			seen[c.RemoteAddr().(*net.TCPAddr).AddrPort()] = true
			defer c.Close()
		}
		return nil
	})
	for _, host := range s.Hosts {
		group.Go(func() error {
			for range each {
				c, err := probe.Dial(ctx, host, "tcp4", "203.0.113.1:1234")
				if err != nil {
					return err
				}
				defer c.Close()
			}
			return nil
		})
	}
	must(t, group.Wait())
	owners := [scene.Subscribers]int{}
	for from := range seen {
		for i, sub := range s.Subscribers {
			if from.Addr() == sub.Softwire.IPv4 && sub.Softwire.PortSet.Contains(from.Port()) {
				owners[i]++
			}
		}
	}
	if owners != [scene.Subscribers]int{each, each} {
		t.Errorf("%d connections came from %v port sets, want %d from each of %d", len(seen), owners, each, scene.Subscribers)
	}
}

// TestNarrowWayUp narrows the way between the access router and the AFTR. The
// CPE learns of it and tells the host.
func TestNarrowWayUp(t *testing.T) { onBoth(t, testNarrowWayUp) }

func testNarrowWayUp(t *testing.T, o scene.Options) {
	ctx, s := start(t, o)
	must(t, s.Access.SetIPv6MTU(scene.AccessAFTR, 1400))
	for mtu := 1500; mtu != 1360; {
		learned, err := probe.PathMTU(ctx, s.Hosts[0], s.Echo(), mtu)
		must(t, err)
		if learned >= mtu || learned < 1360 {
			t.Fatalf("learned %d after %d, want 1360 in the end", learned, mtu)
		}
		mtu = learned
	}
	// TCP copes in both directions.
	_, err := probe.Upload(ctx, s.Hosts[0], s.File(), 1_000_000)
	must(t, err)
	_, err = probe.Download(ctx, s.Hosts[1], s.File(), 1_000_000)
	must(t, err)
}

// TestCongestionOfDeafSender: RFC 6040 section 4.2 has a packet dropped that is
// marked outside and whose sender does not know ECN. VPP does not look at marks
// outside, as docs/vpp.md says.
func TestCongestionOfDeafSender(t *testing.T) { onBoth(t, testCongestionOfDeafSender) }

func testCongestionOfDeafSender(t *testing.T, o scene.Options) {
	ctx, s := start(t, o)
	sub := s.Subscribers[0].Softwire
	source := netip.AddrPortFrom(sub.IPv4, 1025)
	if !sub.PortSet.Contains(source.Port()) {
		t.Fatalf("port %d is not in %s", source.Port(), sub.PortSet)
	}
	wire, err := s.Internet.Capture(scene.InternetUplink)
	must(t, err)
	defer wire.Close()
	for _, class := range []byte{0, 3} {
		text := []byte{'c', 'l', 'a', 's', 's', '0' + class}
		packet := probe.Encapsulate(sub.B4, scene.BR, probe.UDP4(source, s.Echo(), text))
		packet[1] |= class << 4
		must(t, probe.SendIPv6(s.CPEs[0], packet))
	}
	reachable(ctx, t, s, 1)
	frames, err := wire.Drain()
	must(t, err)
	got := map[string]int{}
	for _, f := range frames {
		if p := f.Packet(); len(p) >= 28+6 && !f.Outgoing {
			got[string(p[28:34])]++
		}
	}
	marked := 0
	if o.VPP != "" {
		marked = 1
	}
	if got["class0"] != 1 || got["class3"] != marked {
		t.Errorf("the Internet received %v, want class0 once and class3 %d times", got, marked)
	}
	counters, err := s.Router().Counters(ctx)
	must(t, err)
	for _, e := range counters.Events {
		if e.Name == "drop-ecn" && e.Packets != uint64(1-marked) {
			t.Errorf("%d packets counted as %s, want %d", e.Packets, e.Name, 1-marked)
		}
	}
}

// TestOwnServiceFromInside reaches a subscriber's service at its shared address
// from its own LAN: the AFTR sends the packets back where they came from.
func TestOwnServiceFromInside(t *testing.T) { onBoth(t, testOwnServiceFromInside) }

func testOwnServiceFromInside(t *testing.T, o scene.Options) {
	ctx, s := start(t, o)
	sub := s.Subscribers[0]
	_, err := probe.Download(ctx, s.Hosts[0], sub.Service(sub.FilePort).String(), 1_000_000)
	must(t, err)
	counters, err := s.Router().Counters(ctx)
	must(t, err)
	if counters.Hairpinned.Packets == 0 {
		t.Error("nothing is counted as hairpinned")
	}
}
