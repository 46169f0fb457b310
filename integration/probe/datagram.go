package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// maxDatagram is the longest UDP payload over IPv4, in octets.
const maxDatagram = 65507

// Datagram is a UDP socket that knows the TOS octet of what it receives, which
// holds the ECN bits. It may be used by one goroutine at a time.
type Datagram struct {
	conn    *net.UDPConn
	buf     []byte
	control []byte
}

// Received is one datagram.
type Received struct {
	From    netip.AddrPort
	TOS     uint8
	Payload []byte // valid until the next datagram is received
}

// OpenDatagram opens a UDP socket on a node. The local port may be 0. Datagrams
// are sent without DF.
func OpenDatagram(n Node, local netip.AddrPort) (*Datagram, error) {
	d := &Datagram{buf: make([]byte, maxDatagram), control: make([]byte, 128)}
	err := n.Do(func() (err error) {
		d.conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("udp socket on %s: %w", local, err)
	}
	for _, o := range []struct{ option, value int }{
		{unix.IP_RECVTOS, 1},
		{unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
	} {
		if err := setOption(d.conn, o.option, o.value); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// Close closes the socket.
func (d *Datagram) Close() error { return d.conn.Close() }

// Local is the socket's own address.
func (d *Datagram) Local() netip.AddrPort { return d.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Send sends one datagram.
func (d *Datagram) Send(to netip.AddrPort, tos uint8, payload []byte) error {
	if err := setOption(d.conn, unix.IP_TOS, int(tos)); err != nil {
		return err
	}
	if _, err := d.conn.WriteToUDPAddrPort(payload, to); err != nil {
		return fmt.Errorf("udp to %s: %w", to, err)
	}
	return nil
}

// Receive blocks for the next datagram, or until ctx ends and then returns its
// error.
func (d *Datagram) Receive(ctx context.Context) (Received, error) {
	defer until(ctx, d.conn)()
	n, controls, _, from, err := d.conn.ReadMsgUDPAddrPort(d.buf, d.control)
	if err != nil {
		return Received{}, cause(ctx, fmt.Errorf("udp on %s: %w", d.Local(), err))
	}
	r := Received{From: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), Payload: d.buf[:n]}
	messages, err := unix.ParseSocketControlMessage(d.control[:controls])
	if err != nil {
		return Received{}, fmt.Errorf("udp on %s: %w", d.Local(), err)
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_TOS && len(m.Data) > 0 {
			r.TOS = m.Data[0]
		}
	}
	return r, nil
}

// Echo answers every datagram with its own payload and TOS, until ctx ends, and
// then returns nil.
func (d *Datagram) Echo(ctx context.Context) error {
	for {
		r, err := d.Receive(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.Send(r.From, r.TOS, r.Payload); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			return err
		}
	}
}

// retry is how long an answer is waited for before asking again.
const retry = time.Second

// Exchange sends a datagram to an echo until it comes back, and returns what
// came.
func (d *Datagram) Exchange(ctx context.Context, to netip.AddrPort, tos uint8, payload []byte) (Received, error) {
	for {
		if err := d.Send(to, tos, payload); err != nil {
			return Received{}, err
		}
		wait, cancel := context.WithTimeout(ctx, retry)
		r, err := d.receiveEcho(wait, to, payload)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return r, err
		}
	}
}

func (d *Datagram) receiveEcho(ctx context.Context, from netip.AddrPort, payload []byte) (Received, error) {
	for {
		r, err := d.Receive(ctx)
		if err != nil || r.From == from && bytes.Equal(r.Payload, payload) {
			return r, err
		}
	}
}
