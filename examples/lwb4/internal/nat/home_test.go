package nat

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// home is a LAN host, the CPE and the Internet; the link to the Internet plays
// the softwire.
type home struct {
	lab                 *netlab.Lab
	host, cpe, internet *netlab.Namespace
	wire                *netlab.Capture // the Internet's end of the softwire
}

var (
	shared     = netip.MustParseAddr("192.0.2.1")
	hostAddr   = netip.MustParseAddr("192.168.1.2")
	serverAddr = netip.MustParseAddr("203.0.113.1")
	lan        = netip.MustParsePrefix("192.168.1.0/24")
)

func newHome(t *testing.T) home {
	t.Helper()
	netlab.Require(t)
	h := home{lab: netlab.New()}
	t.Cleanup(func() { must(t, h.lab.Close()) })
	for name, ns := range map[string]**netlab.Namespace{"host": &h.host, "cpe": &h.cpe, "internet": &h.internet} {
		var err error
		*ns, err = h.lab.Namespace(name)
		must(t, err)
	}
	must(t, h.cpe.Forward())
	end := func(ns *netlab.Namespace, iface, addr string) netlab.End {
		return netlab.End{Node: ns, Name: iface, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	must(t, h.lab.Connect(end(h.host, "eth0", "192.168.1.2/24"), end(h.cpe, "lan", "192.168.1.1/24")))
	must(t, h.lab.Connect(end(h.cpe, "tun", "192.0.0.2/29"), end(h.internet, "eth0", "192.0.0.1/29")))
	must(t, h.internet.Address("lo", netip.MustParsePrefix("203.0.113.1/32")))
	everything := netip.MustParsePrefix("0.0.0.0/0")
	must(t, h.host.Route(everything, netip.MustParseAddr("192.168.1.1")))
	must(t, h.cpe.Route(everything, netip.MustParseAddr("192.0.0.1")))
	must(t, h.internet.Route(netip.PrefixFrom(shared, 32), netip.MustParseAddr("192.0.0.2")))
	var err error
	h.wire, err = h.internet.Capture("eth0")
	must(t, err)
	t.Cleanup(func() { must(t, h.wire.Close()) })
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h home) config(s portset.PortSet) Config {
	return Config{Tunnel: "tun", LAN: "lan", Prefix: lan, Ports: assign.Ports{IPv4: shared, Sets: []portset.PortSet{s}}, MSS: 1300}
}

func (h home) install(t *testing.T, c Config) {
	t.Helper()
	must(t, h.cpe.Do(func() error { return Install(c) }))
}

func set(t *testing.T, a, k uint8, psid uint16) portset.PortSet {
	t.Helper()
	s, err := portset.Of(a, k, psid)
	must(t, err)
	return s
}

// sent is what of a packet on the wire matters here.
type sent struct {
	protocol uint8
	source   netip.Addr
	port     uint16 // source port or identifier
	payload  []byte // the whole transport message
}

// packets reads the wire until a marker datagram, sent by the CPE itself last,
// has passed. Each packet's port is read as the protocol says.
func (h home) packets(t *testing.T) []sent {
	t.Helper()
	h.mark(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all []sent
	for {
		f, err := h.wire.Next(ctx)
		must(t, err)
		b := f.Packet()
		if f.Outgoing || len(b) < 20 || b[0] != 0x45 {
			continue
		}
		p := sent{protocol: b[9], source: netip.AddrFrom4([4]byte(b[12:])), payload: b[20:]}
		switch {
		case p.protocol == unix.IPPROTO_UDP && string(p.payload[8:]) == marker:
			return all
		case p.protocol == unix.IPPROTO_ICMP:
			p.port = binary.BigEndian.Uint16(p.payload[4:])
		default:
			p.port = binary.BigEndian.Uint16(p.payload)
		}
		all = append(all, p)
	}
}

const marker = "marker"

// mark sends what the CPE does not translate: the well-known addresses.
func (h home) mark(t *testing.T) {
	t.Helper()
	must(t, h.cpe.Do(func() error {
		conn, err := net.Dial("udp4", "192.0.0.1:5351")
		if err != nil {
			return err
		}
		_, err = io.WriteString(conn, marker)
		return firstOf(err, conn.Close())
	}))
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// raw sends IPv4 packets as they are from a namespace.
func raw(t *testing.T, ns *netlab.Namespace, packets ...[]byte) {
	t.Helper()
	must(t, ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, p := range packets {
			err := unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte(p[16:])})
			// A sender is told when its own node's rules drop a packet.
			if err != nil && !errors.Is(err, unix.EPERM) {
				return err
			}
		}
		return nil
	}))
}

// ipv4 is a packet from the host to the server; raw sockets fill in checksums
// of the header.
func ipv4(protocol uint8, from netip.Addr, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	copy(b[12:], from.AsSlice())
	copy(b[16:], serverAddr.AsSlice())
	return append(b, payload...)
}

func udp(port uint16) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b, port)
	binary.BigEndian.PutUint16(b[2:], 9)
	binary.BigEndian.PutUint16(b[4:], 8)
	return b // checksum 0: none
}

func syn(from netip.Addr, port uint16) []byte {
	b := make([]byte, 24)
	binary.BigEndian.PutUint16(b, port)
	binary.BigEndian.PutUint16(b[2:], 80)
	binary.BigEndian.PutUint32(b[4:], 1)
	b[12], b[13] = 6<<4, flagSYN
	b[14] = 0x80
	copy(b[20:], []byte{2, 4, 1460 >> 8, 1460 & 0xff})
	pseudo := slices.Concat(from.AsSlice(), serverAddr.AsSlice(), []byte{0, unix.IPPROTO_TCP, 0, 24})
	binary.BigEndian.PutUint16(b[16:], checksum(slices.Concat(pseudo, b)))
	return b
}

func echo(identifier uint16) []byte {
	b := []byte{8, 0, 0, 0, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(b[4:], identifier)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// sendTo sends a datagram from the Internet to a port of the shared address.
func sendTo(t *testing.T, h home, port uint16) {
	t.Helper()
	must(t, h.internet.Do(func() error {
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: serverAddr.AsSlice()}, &net.UDPAddr{IP: shared.AsSlice(), Port: int(port)})
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(conn, port)
		return firstOf(err, conn.Close())
	}))
}
