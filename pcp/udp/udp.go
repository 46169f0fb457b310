// Package udp owns the sockets over which PCP reaches a server at the addresses
// of its host.
package udp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/plugin/rcvbuf"
)

// Socket carries datagrams to and from one address of the host. Its methods may
// be called by several goroutines.
type Socket struct {
	conn    *net.UDPConn
	batches batches
	local   netip.AddrPort
	// messages has []ipv6.Message, which are the same for IPv4.
	messages sync.Pool
}

// batches is what ipv4.PacketConn and ipv6.PacketConn have in common.
type batches interface {
	ReadBatch(into []ipv6.Message, flags int) (int, error)
	WriteBatch(from []ipv6.Message, flags int) (int, error)
}

// most datagrams of one system call.
const most = 64

// queue is how many octets wait in the kernel, as far as it allows that: what
// arrives in a moment when many clients ask at once.
const queue = 4 << 20

// Listen opens a socket at an address of the host, which answers leave from. It
// sees only what arrives on the device of that name, and sends only there. The
// caller closes it.
func Listen(ctx context.Context, at netip.AddrPort, device string) (*Socket, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if outer := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) }); outer != nil {
			return outer
		}
		if err != nil {
			return fmt.Errorf("device %s: %w", device, err)
		}
		return nil
	}}
	opened, err := config.ListenPacket(ctx, "udp", at.String())
	if err != nil {
		return nil, fmt.Errorf("PCP on %s: %w", device, err)
	}
	s := &Socket{conn: opened.(*net.UDPConn)} // of network udp
	s.messages.New = func() any {
		return new([most]ipv6.Message)
	}
	s.local = s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.local = netip.AddrPortFrom(s.local.Addr().Unmap(), s.local.Port())
	if s.local.Addr().Is4() {
		s.batches = ipv4.NewPacketConn(s.conn)
	} else {
		s.batches = ipv6.NewPacketConn(s.conn)
	}
	if err := rcvbuf.Set(s.conn, queue); err != nil {
		s.Close()
		return nil, fmt.Errorf("PCP on %s: %w", device, err)
	}
	return s, nil
}

// Close ends all use of the socket.
func (s *Socket) Close() { _ = s.conn.Close() }

// Local is the address and port that it is bound to.
func (s *Socket) Local() netip.AddrPort { return s.local }

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// Receive fills into with datagrams, waiting for the first, and returns how many.
// Their payloads are in the memory of the payloads that into had, and are cut to
// its capacity. Once the context of one Receive has ended, there is no other.
func (s *Socket) Receive(ctx context.Context, into []datagram.Datagram) (int, error) {
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(past) })()
	messages := s.messages.Get().(*[most]ipv6.Message)
	defer s.messages.Put(messages)
	into = into[:min(len(into), most)]
	for i := range into {
		p := into[i].Payload
		messages[i].Buffers = append(messages[i].Buffers[:0], p[:cap(p)])
	}
	n, err := s.batches.ReadBatch(messages[:len(into)], 0)
	if err != nil {
		return 0, fmt.Errorf("PCP at %s: %w", s.local, err)
	}
	for i := range into[:n] {
		m := &messages[i]
		from := m.Addr.(*net.UDPAddr).AddrPort()
		into[i] = datagram.Datagram{
			From:    netip.AddrPortFrom(from.Addr().Unmap(), from.Port()),
			To:      s.local,
			Payload: m.Buffers[0][:m.N],
		}
	}
	return n, nil
}

// Send sends datagrams, whose From is that of the socket, and returns how many it
// could. It does not wait for room: what does not fit is lost.
func (s *Socket) Send(ctx context.Context, out []datagram.Datagram) (sent int) {
	messages := s.messages.Get().(*[most]ipv6.Message)
	defer s.messages.Put(messages)
	for len(out) > 0 && ctx.Err() == nil {
		some := messages[:min(len(out), most)]
		for i := range some {
			some[i].Buffers = append(some[i].Buffers[:0], out[i].Payload)
			some[i].Addr = net.UDPAddrFromAddrPort(out[i].To)
		}
		n, err := s.batches.WriteBatch(some, unix.MSG_DONTWAIT)
		if err != nil {
			// The first of them cannot be sent.
			out = out[1:]
			continue
		}
		sent += n
		out = out[n:]
	}
	return sent
}
