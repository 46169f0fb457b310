package client

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// fakeConn is a socket whose other end is a function.
type fakeConn struct {
	local  netip.AddrPort
	answer func(to netip.AddrPort, request pcpmsg.Request) []pcpmsg.Response
	arrive chan packet
	closed chan struct{} // by SetReadDeadline
	once   sync.Once
	broken error // of WriteTo
}

func newFakeConn(answer func(netip.AddrPort, pcpmsg.Request) []pcpmsg.Response) *fakeConn {
	return &fakeConn{local: netip.AddrPortFrom(testB4, 40000), answer: answer}
}

// open makes the channels, in the bubble that they are to be used in.
func (c *fakeConn) open() { c.arrive, c.closed = make(chan packet, 16), make(chan struct{}) }

func (c *fakeConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.arrive:
		return copy(b, p.payload), net.UDPAddrFromAddrPort(p.from), nil
	case <-c.closed:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (c *fakeConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if c.broken != nil {
		return 0, c.broken
	}
	to, _ := addrPort(addr)
	r, err := pcpmsg.ParseRequest(b)
	if err != nil {
		return 0, err
	}
	for _, response := range c.answer(to, r) {
		c.arrive <- packet{to, response.Append(nil)}
	}
	return len(b), nil
}

func (c *fakeConn) Close() error                     { return nil }
func (c *fakeConn) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(c.local) }
func (c *fakeConn) SetDeadline(time.Time) error      { return nil }
func (c *fakeConn) SetWriteDeadline(time.Time) error { return nil }
func (c *fakeConn) SetReadDeadline(t time.Time) error {
	if !t.After(time.Now()) {
		c.once.Do(func() { close(c.closed) })
	}
	return nil
}
