package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// connections are many that are open at the same time.
type connections struct {
	*testing.T
	scene     *scene.Scene
	open      []net.Listener
	accepting sync.WaitGroup // who takes connections from them
	conns     chan net.Conn
	refused   atomic.Int64
}

func newConnections(t *testing.T, s *scene.Scene) *connections {
	c := &connections{T: t, scene: s, conns: make(chan net.Conn, 10_000)}
	t.Cleanup(func() {
		for _, l := range c.open {
			l.Close()
		}
		c.accepting.Wait()
		close(c.conns)
		for conn := range c.conns {
			conn.Close()
		}
	})
	return c
}

// listen takes connections at a port of the Internet's host, and keeps them.
func (c *connections) listen(port uint16) netip.AddrPort {
	c.Helper()
	at := netip.AddrPortFrom(scene.ServerAddr, port)
	l, err := probe.Listen(c.scene.Internet, at.String())
	must(c.T, err)
	c.open = append(c.open, l)
	c.accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the listener is closed
			}
			c.conns <- conn
		}
	})
	return at
}

// connect opens connections of a host, some at a time, and keeps them. One that is
// refused is counted; one that is not answered is an error.
func (c *connections) connect(ctx context.Context, host *netlab.Namespace, to netip.AddrPort, count int) error {
	var group errgroup.Group
	group.SetLimit(16)
	for range count {
		group.Go(func() error {
			conn, err := probe.Dial(ctx, host, "tcp4", to.String())
			switch {
			case err == nil:
				c.conns <- conn
			case errors.Is(err, syscall.ECONNREFUSED):
				c.refused.Add(1)
			default:
				return fmt.Errorf("%s to %s: %w", host, to, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// watch reads the wire until done is called, and returns how many packets left from
// the address of a softwire, by source port.
func watch(ctx context.Context, t *testing.T, wire *netlab.Capture, of softwire.Softwire) (done func() map[uint16]int) {
	ctx, cancel := context.WithCancel(ctx)
	seen := make(chan map[uint16]int, 1)
	go func() {
		ports := map[uint16]int{}
		for {
			frame, err := wire.Next(ctx)
			if err != nil {
				seen <- ports
				return
			}
			p := frame.Packet()
			if frame.Outgoing || len(p) < 24 || p[0] != 0x45 || netip.AddrFrom4([4]byte(p[12:])) != of.IPv4 {
				continue
			}
			if p[9] == unix.IPPROTO_TCP || p[9] == unix.IPPROTO_UDP {
				ports[binary.BigEndian.Uint16(p[20:])]++
			}
		}
	}()
	return func() map[uint16]int {
		cancel()
		ports := <-seen
		rest, err := wire.Drain()
		must(t, err)
		if len(rest) > 0 {
			t.Logf("%d frames came after the last connection", len(rest))
		}
		return ports
	}
}

// TestManyBehindOneCPE: two hosts of one LAN have 2,000 connections at a time
// through 1,024 ports, all of them from these ports. To one destination there are
// three quarters as many at a time, and who wants more is told at once.
func TestManyBehindOneCPE(t *testing.T) { onBoth(t, testManyBehindOneCPE) }

func testManyBehindOneCPE(t *testing.T, o scene.Options) {
	o.Neighbour = true
	ctx, s := provisioned(t, o)
	own := s.Subscribers[0].Softwire
	if n := own.PortSet.Count(); n != 1024 {
		t.Fatalf("%d ports, want 1024", n)
	}
	wire, err := s.Internet.Capture(scene.InternetUplink)
	must(t, err)
	defer wire.Close()
	done := watch(ctx, t, wire, own)
	c := newConnections(t, s)
	hosts := []*netlab.Namespace{s.Hosts[0], s.Neighbour}
	var group errgroup.Group
	for i := range uint16(4) {
		at := c.listen(5000 + i)
		for _, host := range hosts {
			group.Go(func() error { return c.connect(ctx, host, at, 250) })
		}
	}
	must(t, group.Wait())
	if n := c.refused.Load(); n > 0 {
		t.Errorf("%d of 2000 connections were refused", n)
	}
	at := c.listen(6000)
	const wanted, served = 1200, 1024 / 4 * 3
	for _, host := range hosts {
		group.Go(func() error { return c.connect(ctx, host, at, wanted/2) })
	}
	must(t, group.Wait())
	if n := c.refused.Load(); n != wanted-served {
		t.Errorf("%d connections were refused, want %d of %d to one destination", n, wanted-served, wanted)
	}
	reaches(ctx, t, s.Hosts[0], s.Echo())
	ports := done()
	packets := 0
	for port, n := range ports {
		packets += n
		if !own.PortSet.Contains(port) {
			t.Errorf("%d packets left from port %d, which is not in %s", n, port, own.PortSet)
		}
	}
	if packets < 2000+served || len(ports) <= served {
		t.Errorf("%d packets from %d ports were captured", packets, len(ports))
	}
	t.Logf("%d packets from %d ports, all in %s", packets, len(ports), own.PortSet)
}

// TestMorePortSets: a CPE whose ports are used up asks for more.
func TestMorePortSets(t *testing.T) {
	ctx, s := provisioned(t, scene.Options{Params: params(t, 0, 8), PortSets: 2}) // of 256 ports
	c := newConnections(t, s)
	at := c.listen(5000)
	must(t, c.connect(ctx, s.Hosts[0], at, 256))
	for !strings.Contains(s.CPEProcess(1).Output(), "ports=512") {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("there is still one port set")
		}
	}
	held, err := s.Holds(ctx, 1)
	must(t, err)
	t.Logf("holds %v", held)
	before := c.refused.Load()
	must(t, c.connect(ctx, s.Hosts[0], at, 50))
	if n := c.refused.Load() - before; n > 0 {
		t.Errorf("%d of 50 further connections were refused", n)
	}
}
