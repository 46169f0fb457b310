package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/pcp/udp"
)

// TestPCPSocketSide: a socket of the PCP server, over IPv6 and IPv4, answers on the
// access network. From the Internet its port is one that nobody has, though the
// address can be reached.
func TestPCPSocketSide(t *testing.T) {
	netlab.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lab := netlab.New()
	defer func() { must(t, lab.Close()) }()
	node := func(name string) *netlab.Namespace {
		n, err := lab.Namespace(name)
		must(t, err)
		return n
	}
	router, access, internet := node("router"), node("access"), node("internet")
	prefixes := func(s ...string) (all []netip.Prefix) {
		for _, p := range s {
			all = append(all, netip.MustParsePrefix(p))
		}
		return all
	}
	must(t, lab.Connect(
		netlab.End{Node: router, Name: "access0", Addrs: prefixes("2001:db8:a::1/64", "198.51.100.1/24")},
		netlab.End{Node: access, Name: "eth0", Addrs: prefixes("2001:db8:a::2/64", "198.51.100.2/24")}))
	must(t, lab.Connect(
		netlab.End{Node: router, Name: "inet0", Addrs: prefixes("2001:db8:b::1/64", "203.0.113.1/24")},
		netlab.End{Node: internet, Name: "eth0", Addrs: prefixes("2001:db8:b::2/64", "203.0.113.2/24")}))
	must(t, internet.Route(netip.MustParsePrefix("2001:db8:a::/64"), netip.MustParseAddr("2001:db8:b::1")))
	must(t, internet.Route(netip.MustParsePrefix("198.51.100.0/24"), netip.MustParseAddr("203.0.113.1")))

	for _, address := range []string{"2001:db8:a::1", "198.51.100.1"} {
		server := netip.AddrPortFrom(netip.MustParseAddr(address), pcpmsg.ServerPort)
		var socket *udp.Socket
		must(t, router.Do(func() (err error) {
			socket, err = udp.Listen(ctx, server, "access0")
			return err
		}))
		ask := func(from *netlab.Namespace) *net.UDPConn {
			var c *net.UDPConn
			must(t, from.Do(func() (err error) {
				c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
				return err
			}))
			must(t, c.SetReadDeadline(time.Now().Add(patience)))
			_, err := c.Write([]byte(from.String()))
			must(t, err)
			return c
		}
		stranger := ask(internet)
		if _, err := stranger.Read(make([]byte, 100)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: from the Internet: %v", address, err)
		}
		lwb4 := ask(access)
		got := make([]datagram.Datagram, 8)
		for i := range got {
			got[i].Payload = make([]byte, 0, 100)
		}
		n, err := socket.Receive(ctx, got)
		if err != nil || n != 1 || string(got[0].Payload) != "access" {
			t.Fatalf("%s: %d, %v, %+v", address, n, err, got[:n])
		}
		if socket.Send(ctx, []datagram.Datagram{got[0].Reply([]byte("yes"))}) != 1 {
			t.Errorf("%s: not answered", address)
		}
		if n, err := lwb4.Read(make([]byte, 100)); n != 3 || err != nil {
			t.Errorf("%s: %d octets, %v", address, n, err)
		}
		// RFC 6887 section 14.1.3: those on the link can be told by multicast.
		group, family := netip.IPv6LinkLocalAllNodes(), "udp6"
		if server.Addr().Is4() {
			group, family = netip.MustParseAddr("224.0.0.1"), "udp4"
		}
		var listener net.PacketConn
		must(t, access.Do(func() (err error) {
			listener, err = new(net.ListenConfig).ListenPacket(ctx, family, fmt.Sprintf(":%d", pcpmsg.AnnouncePort))
			return err
		}))
		must(t, listener.SetReadDeadline(time.Now().Add(patience)))
		if socket.Send(ctx, []datagram.Datagram{{From: server, To: netip.AddrPortFrom(group, pcpmsg.AnnouncePort), Payload: []byte("lost")}}) != 1 {
			t.Errorf("%s: nothing can be sent to %s", address, group)
		}
		if n, from, err := listener.ReadFrom(make([]byte, 100)); err != nil || n != 4 || from.(*net.UDPAddr).AddrPort().Port() != pcpmsg.ServerPort {
			t.Errorf("%s: by multicast %d octets from %v, %v", address, n, from, err)
		}
		must(t, errors.Join(stranger.Close(), lwb4.Close(), listener.Close()))
		socket.Close()
	}
}
