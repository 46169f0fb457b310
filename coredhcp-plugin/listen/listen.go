// Package listen owns the sockets at which a DHCPv6 server of its own is asked: by
// clients of a link, whose messages are multicast, and by relay agents.
package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/crew"
	"github.com/lwaftr/lw4o6/plugin/rcvbuf"
)

// Config is where a server is asked.
type Config struct {
	// Interface is a device. Without an Address, messages of clients on its link are
	// heard.
	Interface string `yaml:"interface"`
	// Address is one of the host, for relay agents. Answers leave from it.
	Address netip.Addr `yaml:"address"`
}

// String is the interface or the address.
func (c Config) String() string {
	if c.Address.IsValid() {
		return c.Address.String()
	}
	return c.Interface
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	a := c.Address
	switch {
	case !a.IsValid() && c.Interface == "":
		return errors.New("is neither an interface nor an address")
	case !a.IsValid():
		return nil
	case !a.Is6() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast():
		return element.Errorf("address", "%s is not an IPv6 address of relay agents' server", a)
	}
	return nil
}

// Port is the UDP port of servers and relay agents (RFC 8415 section 7.2).
const Port = 547

// groups are All_DHCP_Relay_Agents_and_Servers and All_DHCP_Servers (RFC 8415
// section 7.1).
func groups() []net.IP { return []net.IP{net.ParseIP("ff02::1:2"), net.ParseIP("ff05::1:3")} }

// maxDatagram is the longest datagram, in octets.
const maxDatagram = 65_535

// queue is how many octets wait in the kernel, as far as it allows that: what
// arrives in a moment when many clients ask at once.
const queue = 4 << 20

// Socket is one place at which a server is asked.
type Socket struct {
	conn   *net.UDPConn
	device string
}

// Open opens a socket at a port, which is Port but in tests. The caller closes it.
// The error names the interface or the address.
func Open(ctx context.Context, c Config, port uint16) (*Socket, error) {
	at := netip.AddrPortFrom(netip.IPv6Unspecified(), port)
	if c.Address.IsValid() {
		at = netip.AddrPortFrom(c.Address, port)
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		outer := raw.Control(func(fd uintptr) {
			// Several sockets have the same port: one for each link, and for relays.
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			if err == nil && c.Interface != "" {
				err = unix.BindToDevice(int(fd), c.Interface)
			}
		})
		return errors.Join(outer, err)
	}}
	opened, err := config.ListenPacket(ctx, "udp6", at.String())
	if err != nil {
		return nil, fmt.Errorf("DHCPv6 on %s: %w", c, err)
	}
	s := &Socket{conn: opened.(*net.UDPConn), device: c.Interface} // of network udp6
	if err := s.prepare(!c.Address.IsValid()); err != nil {
		s.Close()
		return nil, fmt.Errorf("DHCPv6 on %s: %w", c, err)
	}
	return s, nil
}

// prepare makes room for a burst, and joins the groups of servers.
func (s *Socket) prepare(multicast bool) error {
	if err := rcvbuf.Set(s.conn, queue); err != nil || !multicast {
		return err
	}
	device, err := net.InterfaceByName(s.device)
	if err != nil {
		return err
	}
	conn := ipv6.NewPacketConn(s.conn)
	if err := conn.SetControlMessage(ipv6.FlagDst, true); err != nil {
		return err
	}
	for _, group := range groups() {
		if err := conn.JoinGroup(device, &net.UDPAddr{IP: group}); err != nil {
			return fmt.Errorf("group %s: %w", group, err)
		}
	}
	return nil
}

// Close ends all use of the socket.
func (s *Socket) Close() { _ = s.conn.Close() }

// job is a datagram to answer.
type job struct {
	datagram []byte
	from     netip.AddrPort
}

// Respond answers a datagram that came in by a device; nil is no answer.
type Respond func(ctx context.Context, device string, datagram []byte) []byte

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// Run has what arrives answered until ctx ends, and then returns nil. most
// datagrams are worked on at the same time; what arrives besides waits in the
// kernel.
func (s *Socket) Run(ctx context.Context, most int, respond Respond) error {
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(past) })()
	answering := crew.New(most, func(j job) {
		// One that cannot be sent is lost, and the client asks again.
		if answer := respond(ctx, s.device, j.datagram); answer != nil {
			_, _ = s.conn.WriteToUDPAddrPort(answer, j.from)
		}
	})
	defer answering.End()
	datagram, control := make([]byte, maxDatagram), make([]byte, 64)
	for {
		n, controls, _, from, err := s.conn.ReadMsgUDPAddrPort(datagram, control)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("DHCPv6 at %s: %w", s.conn.LocalAddr(), err)
		}
		if heard(datagram[:n], control[:controls]) {
			answering.Give(job{bytes.Clone(datagram[:n]), from})
		}
	}
}

// relayForward is the type of messages of relay agents (RFC 8415 section 7.3).
const relayForward = 12

// heard says whether a datagram is looked at. RFC 8415 section 16: "A server MUST
// discard any Solicit, Confirm, Rebind, or Information-request messages it receives
// with a Layer 3 unicast destination address." Section 18.4: clients only send others
// so where a server has told them to, and this one does not. Where the kernel was not
// asked for the destination, it is that of the socket, which is unicast.
func heard(datagram, control []byte) bool {
	if len(datagram) > 0 && datagram[0] == relayForward {
		return true
	}
	var m ipv6.ControlMessage
	return len(control) > 0 && m.Parse(control) == nil && m.Dst.IsMulticast()
}
