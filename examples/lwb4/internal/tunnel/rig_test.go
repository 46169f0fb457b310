package tunnel

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient bounds everything that a test waits for.
const patient = 20 * time.Second

var (
	shared = netip.MustParseAddr("192.0.2.1")
	server = netip.MustParseAddr("203.0.113.1")
	b4     = netip.MustParseAddr("2001:db8:1::1")
	br     = netip.MustParseAddr("2001:db8:ffff::1")
	other  = netip.MustParseAddr("2001:db8:ffff::2") // of the same AFTR
)

const ourPort, foreignPort = 1024, 2048 // inside and outside the port set

// rig is a lwB4 whose own sockets use the softwire's IPv4 address, a router,
// and an AFTR that the test plays with raw sockets.
type rig struct {
	*testing.T
	lab               *netlab.Lab
	cpe, router, aftr *netlab.Namespace
	tunnel            *User
	fromBR, fromOther int // raw sockets of the AFTR
	opened            map[int]bool
	ctx               context.Context
	stopped           chan error
	unbound           chan struct{}
	stop              context.CancelFunc
}

func newRig(t *testing.T) *rig {
	t.Helper()
	netlab.Require(t)
	r := &rig{T: t, lab: netlab.New(), unbound: make(chan struct{}, 8), opened: map[int]bool{}}
	t.Cleanup(func() { r.must(r.lab.Close()) })
	for name, ns := range map[string]**netlab.Namespace{"cpe": &r.cpe, "router": &r.router, "aftr": &r.aftr} {
		var err error
		*ns, err = r.lab.Namespace(name)
		r.must(err)
	}
	r.must(r.router.Forward())
	r.connect(r.cpe, "wan", "2001:db8:0:1::2/64", r.router, "cpe", "2001:db8:0:1::1/64")
	r.connect(r.aftr, "access", "2001:db8:0:2::2/64", r.router, "aftr", "2001:db8:0:2::1/64")
	r.must(r.cpe.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr("2001:db8:0:1::1")))
	r.must(r.aftr.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr("2001:db8:0:2::1")))
	r.must(r.router.Route(netip.PrefixFrom(b4, 128), netip.MustParseAddr("2001:db8:0:1::2")))
	r.must(r.router.Route(netip.MustParsePrefix("2001:db8:ffff::/64"), netip.MustParseAddr("2001:db8:0:2::2")))
	r.must(r.aftr.Address("lo", netip.PrefixFrom(br, 128)))
	r.must(r.aftr.Address("lo", netip.PrefixFrom(other, 128)))
	r.must(r.cpe.Address("lo", netip.PrefixFrom(shared, 32)))
	r.fromBR, r.fromOther = r.raw(br), r.raw(other)
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) connect(a *netlab.Namespace, nameA, addrA string, b *netlab.Namespace, nameB, addrB string) {
	r.Helper()
	end := func(ns *netlab.Namespace, name, addr string) netlab.End {
		return netlab.End{Node: ns, Name: name, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	r.must(r.lab.Connect(end(a, nameA, addrA), end(b, nameB, addrB)))
}

// raw opens a socket of the AFTR for IPv4 in IPv6. Reading it gives up after
// patient.
func (r *rig) raw(local netip.Addr) int {
	r.Helper()
	var fd int
	r.must(r.aftr.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_IPIP); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1); err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patient / time.Second)}); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet6{Addr: local.As16()})
	}))
	r.opened[fd] = true
	r.Cleanup(func() { r.closeRaw(fd) })
	return fd
}

// closeRaw closes what raw has opened, once.
func (r *rig) closeRaw(fd int) {
	if r.opened[fd] {
		unix.Close(fd)
		delete(r.opened, fd)
	}
}

func config() Config {
	return Config{Name: "softwire", Ends: assign.Ends{B4: b4, BR: br}, MTU: 1500, HopLimit: 64, DefaultRoute: true}
}

// assigned is what the tunnel carries.
func assigned() assign.Ports {
	ports, err := portset.Of(0, 6, 1) // 1024 to 2047
	if err != nil {
		panic(err) // the parameters are right
	}
	return assign.Ports{IPv4: shared, Sets: []portset.PortSet{ports}}
}

// start opens the tunnel and runs it until the test ends.
func (r *rig) start() {
	r.Helper()
	r.must(r.cpe.Do(func() (err error) {
		c := config()
		c.Unbound = func() { r.unbound <- struct{}{} }
		r.tunnel, err = OpenUser(c, quiet())
		return err
	}))
	r.tunnel.Use(assigned())
	r.ctx, r.stop = context.WithCancel(r.Context())
	r.stopped = make(chan error, 1)
	go func() { r.stopped <- r.tunnel.Run(r.ctx) }()
	r.Cleanup(r.end)
}

func (r *rig) end() {
	if r.tunnel == nil {
		return
	}
	r.stop()
	select {
	case err := <-r.stopped:
		if err != nil {
			r.Errorf("run: %v", err)
		}
	case <-time.After(patient):
		r.Error("run does not end")
	}
	if err := r.tunnel.Close(); err != nil {
		r.Error(err)
	}
	r.tunnel = nil
}

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// socket opens a UDP socket of the lwB4 on a port of the shared address.
func (r *rig) socket(port uint16) *net.UDPConn {
	r.Helper()
	var conn *net.UDPConn
	r.must(r.cpe.Do(func() (err error) {
		conn, err = net.DialUDP("udp4", &net.UDPAddr{IP: shared.AsSlice(), Port: int(port)}, &net.UDPAddr{IP: server.AsSlice(), Port: 9})
		return err
	}))
	r.Cleanup(func() { conn.Close() })
	r.must(conn.SetReadDeadline(time.Now().Add(patient)))
	return conn
}

// receive returns the next packet that reaches the AFTR, with its traffic
// class.
func (r *rig) receive() (inner []byte, trafficClass uint8, from netip.Addr) {
	r.Helper()
	buf, control := make([]byte, 65536), make([]byte, 64)
	n, controlLen, _, source, err := unix.Recvmsg(r.fromBR, buf, control, 0)
	r.must(err)
	messages, err := unix.ParseSocketControlMessage(control[:controlLen])
	r.must(err)
	if len(messages) != 1 {
		r.Fatalf("%d control messages, want the traffic class", len(messages))
	}
	return buf[:n], uint8(binary.NativeEndian.Uint32(messages[0].Data)), netip.AddrFrom16(source.(*unix.SockaddrInet6).Addr)
}

// send sends an IPv4 packet from the AFTR to the lwB4.
func (r *rig) send(from int, packet []byte, trafficClass int) {
	r.Helper()
	r.must(unix.SetsockoptInt(from, unix.SOL_IPV6, unix.IPV6_TCLASS, trafficClass))
	r.must(unix.Sendto(from, packet, 0, &unix.SockaddrInet6{Addr: b4.As16()}))
}

// udp is a datagram from the server to a port of the shared address.
func udp(port uint16, tos uint8, text string) []byte {
	b := make([]byte, 28, 28+len(text))
	b[0], b[1], b[8], b[9] = 0x45, tos, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(text)))
	copy(b[12:], server.AsSlice())
	copy(b[16:], shared.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b[:20]))
	binary.BigEndian.PutUint16(b[20:], 9)
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(text)))
	return append(b, text...) // UDP checksum 0: none
}

// await reads from conn, whose peer sends the text that is expected.
func (r *rig) await(conn net.Conn, want string) {
	r.Helper()
	buf := make([]byte, 65536)
	n, err := conn.Read(buf)
	r.must(err)
	if string(buf[:n]) != want {
		r.Errorf("received %d octets %.20q, want %d octets %.20q", n, buf[:n], len(want), want)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
