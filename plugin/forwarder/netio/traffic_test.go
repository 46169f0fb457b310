package netio

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// TestPacketFilter: a packet device hands over what is addressed to the host on
// the link, and nothing else, also with the interface in promiscuous mode.
func TestPacketFilter(t *testing.T) {
	middle, inet, _ := packetPair(t)
	r := newRecord()
	middle.do(func() { middle.check(netlink.SetPromiscOn(middle.link("inet")), "promiscuous") })
	port, _ := middle.start(packetConfig(), func(queue int) Processor { return r.processor(queue, dataplane.SideIPv4) })

	raw := inet.rawSocket("middle")
	var own []byte
	middle.do(func() { own = middle.link("inet").Attrs().HardwareAddr })
	packet := udpSpec().build(bytesUpTo(20))
	for _, to := range [][]byte{{2, 0, 0, 0, 0, 9}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0x5e, 0, 0, 1}} {
		frame := slices.Concat(to, []byte{2, 0, 0, 0, 0, 1}, []byte{8, 0}, packet)
		if _, err := unix.Write(raw, frame); err != nil {
			t.Fatal(err)
		}
	}
	// A short frame is filled up on an Ethernet; what fills it is not ours.
	ours := slices.Concat(own, []byte{2, 0, 0, 0, 0, 1}, []byte{8, 0}, packet, make([]byte, 12))
	if _, err := unix.Write(raw, ours); err != nil {
		t.Fatal(err)
	}
	r.wait(t, func() bool { return r.frames.Load() > 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := r.packets[0]; len(got) != 1 || got[0] != string(packet) {
		t.Errorf("%d packets came: %x", len(got), got)
	}
	if d := deviceOf(port.Stats(), dataplane.SideIPv4); d.Received.Packets != 1 || d.Received.Bytes != uint64(len(packet)) {
		t.Errorf("counted %+v", d.Received)
	}
}

// rawSocket sends whole Ethernet frames out of an interface.
func (n *namespace) rawSocket(name string) (fd int) {
	n.t.Helper()
	n.do(func() {
		var err error
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		n.check(err, "packet socket")
		n.check(unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: n.link(name).Attrs().Index}), "bind")
	})
	n.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestUDPSupers: datagrams sent as one super-packet come as datagrams, and
// leave the other end as such.
func TestUDPSupers(t *testing.T) {
	if !kernelTakesUDPSupers() {
		t.Skip("needs Linux 6.2 for super-packets of UDP")
	}
	const count, size = 20, 1200
	for _, kind := range []string{"tun", "packet"} {
		t.Run(kind, func(t *testing.T) {
			var from, to *namespace
			var port *Port
			if kind == "tun" {
				from, to = tunnelEnds(t)
				port, _ = from.start(tunConfig(leftIPv4, rightIPv4, leftIPv6), leftTunnel)
			} else {
				var middle *namespace
				from, middle, to = packetEnds(t)
				port, _ = middle.start(packetConfig(), leftTunnel)
			}
			to.start(tunConfig(rightIPv4, leftIPv4, rightIPv6), rightTunnel)
			ping(t, from, rightIPv4)

			server := to.listenPacket("udp4", rightIPv4+":7000")
			if err := server.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			client := from.dial("udp4", server.LocalAddr().String())
			if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			segment := func(fd int) error {
				return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
			}
			if err := control(client, segment); err != nil {
				t.Fatal(err)
			}
			if err := control(server, segment); err != nil {
				t.Fatal(err)
			}
			sent := bytesUpTo(count*size - 5)
			if _, err := client.Write(sent); err != nil {
				t.Fatal(err)
			}
			var got []byte
			var peer net.Addr
			buf := make([]byte, 65536)
			for i := range count {
				var n int
				var err error
				if n, peer, err = server.ReadFrom(buf); err != nil {
					t.Fatalf("datagram %d: %v", i, err)
				}
				if i < count-1 && n != size {
					t.Fatalf("datagram %d of %d bytes", i, n)
				}
				got = append(got, buf[:n]...)
			}
			if !slices.Equal(got, sent) {
				t.Fatal("other bytes came")
			}
			// And back. What is joined on the way out depends on what comes at
			// once, so this is done until some was.
			supers := func() uint64 { return deviceOf(port.Stats(), dataplane.SideIPv4).SupersSent }
			for rounds := 0; rounds == 0 || supers() == 0; rounds++ {
				if _, err := server.WriteTo(sent, peer); err != nil {
					t.Fatal(err)
				}
				for got = got[:0]; len(got) < len(sent); {
					n, err := client.Read(buf)
					if err != nil {
						t.Fatalf("back, round %d: %v", rounds, err)
					}
					if n > size {
						t.Fatalf("datagram of %d bytes", n)
					}
					got = append(got, buf[:n]...)
				}
				if !slices.Equal(got, sent) {
					t.Fatal("other bytes came back")
				}
			}
			if d := deviceOf(port.Stats(), dataplane.SideIPv4); d.SupersReceived == 0 {
				t.Error("no super-packets received")
			}
		})
	}
}

func TestSend(t *testing.T) {
	for _, kind := range []string{"tun", "packet"} {
		t.Run(kind, func(t *testing.T) {
			var port *Port
			var stop func()
			var receiver *namespace
			if kind == "tun" {
				receiver = newNamespace(t)
				config := tunConfig(leftIPv4, rightIPv4, leftIPv6)
				port, stop = receiver.start(config, leftTunnel)
			} else {
				var middle *namespace
				middle, receiver, _ = packetPair(t)
				receiver.do(func() { receiver.address("lo", leftIPv4+"/32") })
				receiver.do(func() { receiver.route(rightIPv4+"/32", "198.51.100.1") })
				port, stop = middle.start(packetConfig(), leftTunnel)
			}
			server := receiver.listenPacket("udp4", leftIPv4+":7000")
			if err := server.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			spec := udpSpec()
			spec.source, spec.destination, spec.dport = rightIPv4, leftIPv4, 7000
			packet := spec.build([]byte("hello"))
			deadline := time.Now().Add(patience)
			err := port.Send(dataplane.SideIPv4, packet)
			for errors.Is(err, ErrDropped) && time.Now().Before(deadline) {
				err = port.Send(dataplane.SideIPv4, packet) // no next hop yet
			}
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			if n, peer, err := server.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" || !strings.HasPrefix(peer.String(), rightIPv4+":") {
				t.Errorf("%q from %v, error %v", buf[:n], peer, err)
			}
			for _, wrong := range [][]byte{nil, packet[:19], inTunnel(packet, 4)} {
				if err := port.Send(dataplane.SideIPv4, wrong); !errors.Is(err, ErrPacket) {
					t.Errorf("%d bytes: error %v", len(wrong), err)
				}
			}
			if err := port.Send(dataplane.SideIPv6, packet); !errors.Is(err, ErrPacket) {
				t.Errorf("IPv4 to IPv6: error %v", err)
			}
			if d := deviceOf(port.Stats(), dataplane.SideIPv4); d.Sent.Packets != 1 || d.Sent.Bytes != uint64(len(packet)) || !d.Ready {
				t.Errorf("counted %+v", d)
			}
			stop()
			if err := port.Send(dataplane.SideIPv4, packet); !errors.Is(err, ErrClosed) {
				t.Errorf("after the end: error %v", err)
			}
			if err := port.SetRoutes(dataplane.SideIPv4, nil); !errors.Is(err, ErrClosed) {
				t.Errorf("after the end: error %v", err)
			}
			if err := port.Run(t.Context(), leftTunnel); !errors.Is(err, ErrClosed) {
				t.Errorf("run after the end: error %v", err)
			}
			port.Stats() // may be read still
		})
	}
}

// TestOverrun: what the kernel dropped because nobody read is counted.
func TestOverrun(t *testing.T) {
	const sent = 50000 // more than any queue holds
	middle, inet, _ := packetPair(t)
	inet.do(func() { inet.route(rightIPv4+"/32", "198.51.100.1") })
	for _, test := range []struct {
		name   string
		config Config
		from   *namespace
	}{
		{"tun", tunConfig(leftIPv4, rightIPv4, leftIPv6), middle},
		{"packet", packetConfig(), inet},
	} {
		t.Run(test.name, func(t *testing.T) {
			port, err := middle.open(test.config)
			if err != nil {
				t.Fatal(err)
			}
			defer port.Close()
			conn := test.from.dial("udp4", rightIPv4+":9")
			payload := bytesUpTo(1000)
			for range sent {
				if _, err := conn.Write(payload); err != nil && !errors.Is(err, unix.ENOBUFS) {
					t.Fatal(err)
				}
			}
			overruns := func() uint64 { return deviceOf(port.Stats(), dataplane.SideIPv4).Drops[rxOverrun].Packets }
			first := overruns()
			if first == 0 || first >= sent {
				t.Errorf("%d of %d packets counted", first, sent)
			}
			if again := overruns(); again != first {
				t.Errorf("%d packets became %d", first, again)
			}
			port.Close()
			if closed := overruns(); closed != first {
				t.Errorf("%d packets became %d with the port closed", first, closed)
			}
		})
	}
}

func TestSetRoutes(t *testing.T) {
	n := newNamespace(t)
	port, _ := n.start(DefaultConfig(), leftTunnel)
	reachable := func(address string) (to string) {
		n.do(func() {
			routes, err := netlink.RouteGet(netip.MustParseAddr(address).AsSlice())
			if err == nil && len(routes) == 1 {
				link, err := netlink.LinkByIndex(routes[0].LinkIndex)
				n.check(err, "interface %d", routes[0].LinkIndex)
				to = link.Attrs().Name
			}
		})
		return to
	}
	const a, b, c = "198.51.100.0/24", "203.0.113.0/24", "2001:db8:9::1/128"
	for _, step := range []struct {
		side   dataplane.Side
		routes []string
		to, no string
	}{
		{dataplane.SideIPv4, []string{a}, "198.51.100.1", "203.0.113.1"},
		{dataplane.SideIPv4, []string{a, b}, "203.0.113.1", "192.0.2.1"},
		{dataplane.SideIPv4, []string{b}, "203.0.113.1", "198.51.100.1"},
		{dataplane.SideIPv6, []string{c}, "2001:db8:9::1", "198.51.100.1"},
	} {
		var prefixes []netip.Prefix
		for _, text := range step.routes {
			prefixes = append(prefixes, netip.MustParsePrefix(text))
		}
		if err := port.SetRoutes(step.side, prefixes); err != nil {
			t.Fatal(err)
		}
		want := map[dataplane.Side]string{dataplane.SideIPv4: "lw4o6-v4", dataplane.SideIPv6: "lw4o6-v6"}[step.side]
		if got := reachable(step.to); got != want {
			t.Errorf("%v: %s is reached through %q", step.routes, step.to, got)
		}
		if got := reachable(step.no); got != "" {
			t.Errorf("%v: %s is reached through %q", step.routes, step.no, got)
		}
	}
	for _, wrong := range []string{c, "203.0.113.1/24"} {
		if err := port.SetRoutes(dataplane.SideIPv4, []netip.Prefix{netip.MustParsePrefix(wrong)}); err == nil {
			t.Errorf("%s is taken as an IPv4 route", wrong)
		}
	}
}

// TestNextHopMoves: packets follow a next hop that gets another link address.
func TestNextHopMoves(t *testing.T) {
	middle, inet, _ := packetPair(t)
	c := newCalls()
	port, _ := middle.start(packetConfig(), func(int) Processor { return c })
	inet.do(func() { inet.address("lo", leftIPv4+"/32") })
	server := inet.listenPacket("udp4", leftIPv4+":7000")
	spec := udpSpec()
	spec.source, spec.destination, spec.dport = "198.51.100.1", leftIPv4, 7000
	buf := make([]byte, 100)
	arrives := func(text string) {
		t.Helper()
		packet := spec.build([]byte(text))
		for deadline := time.Now().Add(patience); string(buf[:len(text)]) != text; {
			if time.Now().After(deadline) {
				t.Fatalf("%q does not arrive: %+v", text, port.Stats())
			}
			if err := port.Send(dataplane.SideIPv4, packet); err != nil && !errors.Is(err, ErrDropped) {
				t.Fatal(err)
			}
			_ = server.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, _, _ = server.ReadFrom(buf)
		}
	}
	arrives("first")
	inet.do(func() {
		link := inet.link("middle")
		inet.check(netlink.LinkSetDown(link), "down")
		inet.check(netlink.LinkSetHardwareAddr(link, []byte{2, 0, 0, 0, 0, 7}), "link address")
		inet.check(netlink.LinkSetUp(link), "up")
	})
	// Until the kernel's probes have failed packets go to the old address; a
	// host that comes up says its new one, which is done here.
	middle.do(func() {
		neighbor := &netlink.Neigh{
			LinkIndex: middle.link("inet").Attrs().Index, IP: netip.MustParseAddr("198.51.100.2").AsSlice(),
			HardwareAddr: []byte{2, 0, 0, 0, 0, 7}, State: netlink.NUD_REACHABLE,
		}
		middle.check(netlink.NeighSet(neighbor), "neighbour")
	})
	arrives("moved")
}
