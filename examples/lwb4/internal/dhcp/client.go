package dhcp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
)

// Config says where a Client asks.
type Config struct {
	Interface string
	// Release has the lease given back when Run ends.
	Release bool
	// Report is told of each change of the lease, also of its end, by Run's
	// goroutine. It must not block for long.
	Report func(Lease)
}

// Client is the client on one interface.
type Client struct {
	config Config
	log    logrus.FieldLogger
	conn   net.PacketConn
	to     net.Addr
	duid   dhcpv6.DUID
	renew  chan struct{}
	lease  Lease // as it was reported
}

// Ports of DHCPv6 (RFC 8415 section 7.2).
const (
	clientPort = 546
	serverPort = 547
)

// allServers is All_DHCP_Relay_Agents_and_Servers (RFC 8415 section 7.1).
var allServers = netip.MustParseAddr("ff02::1:2")

// Open opens the client's socket on the interface's link-local address, in the
// network namespace of the calling thread. It waits a few seconds for the address.
// The caller closes the client after Run.
func Open(ctx context.Context, c Config, log logrus.FieldLogger) (*Client, error) {
	iface, err := net.InterfaceByName(c.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", c.Interface, err)
	}
	conn, err := listen(ctx, iface)
	if err != nil {
		return nil, fmt.Errorf("DHCPv6 on %s: %w", c.Interface, err)
	}
	return &Client{
		config: c, log: log.WithField("interface", c.Interface), conn: conn,
		to: net.UDPAddrFromAddrPort(netip.AddrPortFrom(allServers.WithZone(iface.Name), serverPort)),
		// RFC 8415 section 11.4. It is the same after each start.
		duid:  &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: iface.HardwareAddr},
		renew: make(chan struct{}, 1),
	}, nil
}

// The kernel gives an interface its link-local address when the link is up, and
// then looks whether somebody else has it (RFC 4862 section 5.4). Until then it
// cannot be used.
const (
	addressWait = 5 * time.Second
	addressLook = 100 * time.Millisecond
)

// errNoAddress says that there is no address to speak from.
var errNoAddress = errors.New("the interface has no link-local address: is it up?")

// listen opens the socket as soon as the interface has an address for it.
func listen(ctx context.Context, iface *net.Interface) (net.PacketConn, error) {
	ctx, cancel := context.WithTimeout(ctx, addressWait)
	defer cancel()
	for {
		conn, err := bind(iface)
		if !errors.Is(err, errNoAddress) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(addressLook):
		}
	}
}

func bind(iface *net.Interface) (net.PacketConn, error) {
	local, err := linkLocal(iface)
	if err != nil {
		return nil, err
	}
	return net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, clientPort)))
}

// linkLocal is the address that DHCPv6 is spoken from.
func linkLocal(iface *net.Interface) (netip.Addr, error) {
	all, err := iface.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			return p.Addr().WithZone(iface.Name), nil
		}
	}
	return netip.Addr{}, errNoAddress
}

// Close closes the socket.
func (c *Client) Close() error { return c.conn.Close() }

// Renew asks the server at once.
func (c *Client) Renew() {
	select {
	case c.renew <- struct{}{}:
	default:
	}
}

// iaid is that of the one prefix.
var iaid = [4]byte{0, 0, 0, 1}

// Run keeps a lease until ctx ends, gives it back if that is wanted, and then returns
// nil.
func (c *Client) Run(ctx context.Context) error {
	m := newMachine(c.duid, iaid, time.Now(), rand.Float64)
	group, reading := errgroup.WithContext(context.WithoutCancel(ctx))
	reading, stop := context.WithCancel(reading)
	packets := make(chan *dhcpv6.Message)
	group.Go(func() error { return c.read(reading, packets) })
	group.Go(func() error {
		defer func() { stop(); _ = c.conn.SetReadDeadline(time.Unix(1, 0)) }()
		c.work(ctx, reading, m, packets)
		return nil
	})
	return group.Wait()
}

// maxPacket bounds what is read of a packet, in octets.
const maxPacket = 4096

// read hands on what comes, until ctx ends.
func (c *Client) read(ctx context.Context, to chan<- *dhcpv6.Message) error {
	buf := make([]byte, maxPacket)
	for {
		n, _, err := c.conn.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("DHCPv6 on %s: %w", c.config.Interface, err)
		}
		m, err := dhcpv6.MessageFromBytes(append([]byte(nil), buf[:n]...))
		if err != nil {
			c.log.WithError(err).Debug("not a DHCPv6 message")
			continue
		}
		select {
		case to <- m:
		case <-ctx.Done():
			return nil
		}
	}
}

// work owns the machine until ctx ends and it has released, or there is nothing more
// to read.
func (c *Client) work(ctx, reading context.Context, m *machine, packets <-chan *dhcpv6.Message) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	ending := ctx.Done()
	for !m.released {
		timer.Reset(time.Until(m.next()))
		select {
		case <-reading.Done():
			return
		case <-ending:
			ending = nil
			if !c.config.Release || !m.release(time.Now()) {
				return
			}
		case <-c.renew:
			m.renew(time.Now())
		case in := <-packets:
			if err := m.receive(time.Now(), in); err != nil && !errors.Is(err, ErrStranger) {
				c.log.WithError(err).Warn("what the DHCPv6 server says is not used")
			}
		case <-timer.C:
		}
		if out := m.wake(time.Now()); out != nil {
			c.send(out)
		}
		c.tell(m)
	}
}

// writeTimeout bounds what the network may hold the client up for.
const writeTimeout = time.Second

func (c *Client) send(m *dhcpv6.Message) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := c.conn.WriteTo(m.ToBytes(), c.to); err != nil {
		c.log.WithError(err).Warn("DHCPv6 messages do not get out") // and are sent again
	}
}

// tell reports a lease that has changed, or lasts longer.
func (c *Client) tell(m *machine) {
	if m.odd != nil {
		c.log.WithError(m.odd).Warn("what the DHCPv6 server says of the softwire makes no sense")
		m.odd = nil
	}
	if !m.lease.Equal(c.lease) || !m.lease.Until.Equal(c.lease.Until) {
		c.lease = m.lease
		c.config.Report(c.lease)
	}
}
