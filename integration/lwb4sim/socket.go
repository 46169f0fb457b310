package lwb4sim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Socket carries letters over plain IPv6 by one UDP socket, whose host has all
// addresses of the lwB4s: a local route of their prefix to the loopback device is
// enough for that.
type Socket struct {
	conn       *net.UDPConn
	batches    *ipv6.PacketConn
	population Population
	server     net.Addr
	out, in    [atOnce]ipv6.Message
}

// atOnce is how many datagrams one system call takes.
const atOnce = 64

// OpenSocket opens a socket in the network namespace of its thread. The caller
// closes it.
func OpenSocket(p Population) (*Socket, error) {
	conn, err := net.ListenUDP("udp6", nil)
	if err != nil {
		return nil, err
	}
	s := &Socket{
		conn: conn, batches: ipv6.NewPacketConn(conn), population: p,
		server: net.UDPAddrFromAddrPort(p.server()),
	}
	err = s.batches.SetControlMessage(ipv6.FlagDst, true)
	if err == nil {
		err = errors.Join(
			setOption(conn, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer),
			setOption(conn, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffer),
			// Of a local route, the kernel takes only what it receives for its own.
			setOption(conn, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket of lwB4s: %w", err), conn.Close())
	}
	for i := range s.in {
		s.in[i].OOB = ipv6.NewControlMessage(ipv6.FlagDst)
	}
	return s, nil
}

// buffer has room for an answer to each of many lwB4s, in octets.
const buffer = 256 << 20

func setOption(conn *net.UDPConn, level, option, value int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, value) })
	return errors.Join(err, failed)
}

// Close closes the socket.
func (s *Socket) Close() error { return s.conn.Close() }

// Send is as Carrier.Send.
func (s *Socket) Send(out []Letter) error {
	for len(out) > 0 {
		some := s.out[:min(len(out), atOnce)]
		for i := range some {
			from := ipv6.ControlMessage{Src: s.population.Address(out[i].LwB4).AsSlice()}
			some[i] = ipv6.Message{Buffers: append(some[i].Buffers[:0], out[i].Message), OOB: from.Marshal(), Addr: s.server}
		}
		n, err := s.batches.WriteBatch(some, 0)
		if err != nil {
			return fmt.Errorf("lwB4s: %w", err)
		}
		out = out[n:]
	}
	return nil
}

// Receive is as Carrier.Receive.
func (s *Socket) Receive(into []Letter, deadline time.Time) (int, error) {
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	some := s.in[:min(len(into), atOnce)]
	for i := range some {
		if cap(into[i].Message) == 0 {
			into[i].Message = make([]byte, pcpmsg.MaxLength)
		}
		some[i].Buffers = append(some[i].Buffers[:0], into[i].Message[:cap(into[i].Message)])
	}
	n, err := s.batches.ReadBatch(some, 0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("lwB4s: %w", err)
	}
	taken := 0
	for _, m := range some[:n] {
		var control ipv6.ControlMessage
		if err := control.Parse(m.OOB[:m.NN]); err != nil {
			return 0, fmt.Errorf("lwB4s: %w", err)
		}
		to, _ := netip.AddrFromSlice(control.Dst)
		if i, ok := s.population.index(to); ok && m.Addr.(*net.UDPAddr).AddrPort() == s.population.server() {
			message := append(into[taken].Message[:0], m.Buffers[0][:m.N]...)
			into[taken] = Letter{i, message}
			taken++
		}
	}
	return taken, nil
}
