package netio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// patience bounds everything that a test waits for.
const patience = 30 * time.Second

// namespace is a network namespace of its own, without a name, that is gone
// when the test ends.
type namespace struct {
	t      *testing.T
	handle netns.NsHandle
}

// newNamespace makes a namespace with its loopback up. It skips the test where
// that is not permitted.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	if _, err := os.Stat(tunPath); err != nil {
		t.Skipf("needs %s", tunPath)
	}
	n := &namespace{t: t}
	onThread(func() {
		var err error
		if n.handle, err = netns.New(); err != nil {
			t.Errorf("new namespace: %v", err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { n.handle.Close() })
	n.do(func() {
		n.up("lo")
		// Neither duplicate address detection nor router solicitations.
		n.sysctl("net/ipv6/conf/default/accept_dad", "0")
		n.sysctl("net/ipv6/conf/default/router_solicitations", "0")
	})
	return n
}

// onThread runs f on a thread of its own, which ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so the thread is not used again
		f()
	}()
	<-done
}

// do runs f in the namespace.
func (n *namespace) do(f func()) {
	n.t.Helper()
	onThread(func() {
		if err := netns.Set(n.handle); err != nil {
			n.t.Errorf("enter namespace: %v", err)
			return
		}
		f()
	})
	if n.t.Failed() {
		n.t.FailNow()
	}
}

// The following are called in do.

func (n *namespace) check(err error, what string, args ...any) {
	if err != nil {
		n.t.Errorf("%s: %v", fmt.Sprintf(what, args...), err)
		runtime.Goexit()
	}
}

func (n *namespace) link(name string) netlink.Link {
	link, err := netlink.LinkByName(name)
	n.check(err, "interface %s", name)
	return link
}

func (n *namespace) up(name string) {
	n.check(netlink.LinkSetUp(n.link(name)), "up %s", name)
}

func (n *namespace) address(name, prefix string) {
	p := netip.MustParsePrefix(prefix)
	address := &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}
	n.check(netlink.AddrAdd(n.link(name), address), "address %s", prefix)
}

func (n *namespace) route(prefix, gateway string) {
	n.routeFrom(prefix, gateway, "")
}

// routeFrom is route for packets that prefer a source address.
func (n *namespace) routeFrom(prefix, gateway, source string) {
	route := &netlink.Route{
		Dst: ipNet(netip.MustParsePrefix(prefix)),
		Gw:  net.ParseIP(gateway),
		Src: net.ParseIP(source),
	}
	n.check(netlink.RouteAdd(route), "route %s", prefix)
}

// smallRoute leads to one address through a device, with packets of 1500 bytes
// at most.
func (n *namespace) smallRoute(name, address string) {
	to := netip.MustParseAddr(address)
	route := &netlink.Route{
		LinkIndex: n.link(name).Attrs().Index,
		Dst:       ipNet(netip.PrefixFrom(to, to.BitLen())),
		Scope:     netlink.SCOPE_LINK,
		MTU:       1500,
	}
	n.check(netlink.RouteAdd(route), "route %s", address)
}

func (n *namespace) sysctl(name, value string) {
	n.check(os.WriteFile("/proc/sys/"+name, []byte(value), 0o644), "sysctl %s", name)
}

func (n *namespace) forward(on string) {
	n.sysctl("net/ipv4/ip_forward", on)
	n.sysctl("net/ipv6/conf/all/forwarding", on)
}

// connect joins two namespaces by a veth pair of the given names and MTU.
func connect(a *namespace, nameA string, b *namespace, nameB string, mtu int) {
	a.t.Helper()
	a.do(func() {
		veth := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: nameA, MTU: mtu},
			PeerName:      nameB,
			PeerNamespace: netlink.NsFd(b.handle),
			PeerMTU:       uint32(mtu),
		}
		a.check(netlink.LinkAdd(veth), "veth %s", nameA)
		a.up(nameA)
	})
	b.do(func() { b.up(nameB) })
}

// open opens a port in the namespace.
func (n *namespace) open(config Config) (port *Port, err error) {
	n.t.Helper()
	n.do(func() { port, err = Open(config, quiet()) })
	return port, err
}

// start opens a port and runs it until the test ends, or stop is called.
func (n *namespace) start(config Config, newProcessor func(int) Processor) (port *Port, stop func()) {
	n.t.Helper()
	port, err := n.open(config)
	if err != nil {
		n.t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan error, 1)
	go func() { done <- port.Run(ctx, newProcessor) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				n.t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			n.t.Error("run does not end")
		}
	}
	n.t.Cleanup(stop)
	return port, stop
}

// dialer and listen make sockets in the namespace that any goroutine may use.

func (n *namespace) listen(network, address string) (listener net.Listener) {
	n.t.Helper()
	n.do(func() {
		var err error
		listener, err = net.Listen(network, address)
		n.check(err, "listen on %s", address)
	})
	n.t.Cleanup(func() { listener.Close() })
	return listener
}

func (n *namespace) dial(network, address string) (c net.Conn) {
	n.t.Helper()
	n.do(func() {
		var err error
		c, err = dialHere(n.t.Context(), network, address)
		n.check(err, "dial %s", address)
	})
	n.t.Cleanup(func() { c.Close() })
	return c
}

// dialHere dials until it works: the first packets may find no neighbour yet.
func dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		// Numeric addresses of one family are dialled on this thread.
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil || !errors.Is(err, syscall.EHOSTUNREACH) {
			return c, err
		}
	}
}

func (n *namespace) listenPacket(network, address string) (c net.PacketConn) {
	n.t.Helper()
	n.do(func() {
		var err error
		c, err = net.ListenPacket(network, address)
		n.check(err, "listen on %s", address)
	})
	n.t.Cleanup(func() { c.Close() })
	return c
}

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// tunnel is a Processor that puts IPv4 packets into IPv6 and takes them out
// again, with no checks worth the name.
type tunnel struct {
	local, remote netip.Addr
	look          func(side dataplane.Side, packet []byte) // at each packet, if set
}

func (p *tunnel) Process(_ time.Time, side dataplane.Side, in []Frame, out []Output) []Output {
	for _, f := range in {
		if p.look != nil {
			p.look(side, f.Packet())
		}
		if side == dataplane.SideIPv4 {
			packet := f.Buf[f.Start-ipv6HeaderLen : f.End]
			clear(packet[:8])
			packet[0] = 6 << 4
			binary.BigEndian.PutUint16(packet[4:], uint16(f.End-f.Start))
			packet[6], packet[7] = protocolIPv4, 64
			local, remote := p.local.As16(), p.remote.As16()
			copy(packet[8:], local[:])
			copy(packet[24:], remote[:])
			out = append(out, Output{Side: dataplane.SideIPv6, Packet: packet})
			continue
		}
		if packet := f.Packet(); len(packet) >= ipv6HeaderLen+ipv4HeaderLen && packet[6] == protocolIPv4 {
			out = append(out, Output{Side: dataplane.SideIPv4, Packet: packet[ipv6HeaderLen:]})
		}
	}
	return out
}

// control runs f on a connection's descriptor.
func control(conn any, f func(fd int) error) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
