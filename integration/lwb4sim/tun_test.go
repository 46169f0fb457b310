package lwb4sim

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/pcp/client"
)

// TestTUN: the kernel carries the packets of a fleet, over a bad way, to a server
// on a socket of its own, in a namespace, and the answers back.
func TestTUN(t *testing.T) {
	ns := newNode(t)
	var tun *TUN
	check(t, ns.Do(func() (err error) { tun, err = OpenTUN("lwb4s"); return err }))
	t.Cleanup(func() { check(t, tun.Close()) })
	config := FleetConfig{Population: people(2000, false), Impairment: bad, Begin: 200 * time.Millisecond, Timing: client.DefaultTiming()}
	config.Timing.Initial, config.Timing.Maximum = 100*time.Millisecond, time.Second
	config.Impairment.Delay = 20 * time.Millisecond
	check(t, ns.Address("lwb4s", netip.PrefixFrom(config.Population.BR, 64)))
	check(t, ns.Route(netip.MustParsePrefix("2001:db8:1000::/36"), netip.MustParseAddr("2001:db8:ff::2")))

	script := answer(t, ns, config.Population)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fleet, err := NewFleet(tun, config)
	check(t, err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- fleet.Run(running) }()
	check(t, fleet.Await(ctx, func(c Counts) bool { return c.Held == 2000 }))
	check(t, Check(fleet.Holdings()))
	if c := fleet.Counts(); c.Moved != 0 || c.Strays > 100 || c.Up.Lost == 0 {
		t.Errorf("%+v", c)
	}
	if script.held() != 2000 {
		t.Errorf("the server has %d", script.held())
	}
	stop()
	check(t, <-ended)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newNode is a namespace for one test.
func newNode(t *testing.T) *netlab.Namespace {
	t.Helper()
	netlab.Require(t)
	lab := netlab.New()
	t.Cleanup(func() { check(t, lab.Close()) })
	ns, err := lab.Namespace("lwb4sim")
	check(t, err)
	return ns
}

// answer has a script answer p on a socket of a node.
func answer(t *testing.T, ns *netlab.Namespace, p Population) *script {
	t.Helper()
	var conn net.PacketConn
	check(t, ns.Do(func() (err error) { conn, err = net.ListenPacket("udp", p.server().String()); return err }))
	t.Cleanup(func() { _ = conn.Close() })
	s := newScript()
	go func() {
		b := make([]byte, maxPacket)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			client := from.(*net.UDPAddr).AddrPort().Addr()
			if answer := s.answer(client, client, b[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return s
}
