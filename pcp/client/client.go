package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Config says which server a Client talks to.
type Config struct {
	// Servers are the addresses of one server, in order of preference. They are of
	// the same family as the socket.
	Servers []netip.AddrPort
	// Address is where requests are sent from: the socket's own address if it is
	// unset. A server refuses requests that come from another one.
	Address netip.Addr
	// Timing is DefaultTiming if it is the zero value.
	Timing Timing
	// StateLost, if it is set, is called when a server may have lost its mappings:
	// what Request got has to be asked for again, what Hold keeps has not. It must
	// not block.
	StateLost func(server netip.AddrPort)
}

// Client is the client side of PCP at one server. Its other methods wait until
// Run runs, and may be called by several goroutines.
type Client struct {
	conn      net.PacketConn
	calls     chan func(now time.Time)
	stopped   chan struct{}
	packets   chan packet
	unreached chan netip.AddrPort // addresses, as the network reports
	servers   int                 // addresses
	timing    Timing
	set       *Set                           // Run's, as what follows
	statuses  map[pcpmsg.Nonce]chan Status   // who waits for what
	probes    map[chan Announcement]struct{} // who waits for an ANNOUNCE
	failed    []netip.AddrPort               // addresses that could not be sent to
}

type packet struct {
	from    netip.AddrPort
	payload []byte
}

// The errors of a Client.
var (
	// ErrAddress reports an address that requests cannot be sent from.
	ErrAddress = errors.New("no address to send PCP requests from")
	// ErrStopped reports that Run has ended.
	ErrStopped = errors.New("the PCP client has stopped")
)

// New returns a client on a socket, which the caller closes after Run has
// ended. The error wraps ErrAddress, ErrServers or ErrTiming.
func New(conn net.PacketConn, config Config) (*Client, error) {
	address := config.Address
	if !address.IsValid() {
		local, _ := addrPort(conn.LocalAddr())
		address = local.Addr()
	}
	if !address.IsValid() || address.IsUnspecified() {
		return nil, fmt.Errorf("%w: the socket has %s: bind it to one, or name it", ErrAddress, conn.LocalAddr())
	}
	for _, s := range config.Servers {
		if s.Addr().Is4() != address.Is4() {
			return nil, fmt.Errorf("%w %s: it is of another family than %s", ErrAddress, s, address)
		}
	}
	if config.Timing == (Timing{}) {
		config.Timing = DefaultTiming()
	}
	c := &Client{
		conn:    conn,
		calls:   make(chan func(time.Time)),
		stopped: make(chan struct{}),
		packets: make(chan packet),

		unreached: make(chan netip.AddrPort),

		servers:  len(config.Servers),
		timing:   config.Timing,
		statuses: make(map[pcpmsg.Nonce]chan Status),
		probes:   make(map[chan Announcement]struct{}),
	}
	var err error
	c.set, err = NewSet(SetConfig{
		Servers:   config.Servers,
		Client:    address,
		Timing:    config.Timing,
		Random:    rand.Float64,
		Send:      c.send,
		Report:    c.report,
		StateLost: config.StateLost,
		Announced: c.announced,
	})
	return c, err
}

// Run does the client's work until ctx ends, and then returns nil. It may be
// called once.
func (c *Client) Run(ctx context.Context) error {
	defer close(c.stopped)
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	group.Go(func() error { return c.read(ctx) })
	group.Go(func() error { c.work(ctx); return nil })
	return group.Wait()
}

// read hands on what comes, until ctx ends.
func (c *Client) read(ctx context.Context) error {
	buf := make([]byte, 2*pcpmsg.MaxLength)
	for {
		n, addr, err := c.conn.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		var lost *unreachedError
		if errors.As(err, &lost) {
			select {
			case c.unreached <- lost.to:
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("PCP client on %s: %w", c.conn.LocalAddr(), err)
		}
		from, ok := addrPort(addr)
		if !ok {
			continue
		}
		select {
		case c.packets <- packet{from, append([]byte(nil), buf[:n]...)}:
		case <-ctx.Done():
			return nil
		}
	}
}

// work owns the set.
func (c *Client) work(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(c.untilNext())
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			c.set.Wake(time.Now())
		case call := <-c.calls:
			call(time.Now())
		case address := <-c.unreached:
			c.set.Unreachable(time.Now(), address)
		case p := <-c.packets:
			// What is wrong with a packet of a stranger is of no use to anybody.
			_ = c.set.Receive(time.Now(), p.from, p.payload)
		}
		for len(c.failed) > 0 {
			address := c.failed[0]
			c.failed = c.failed[1:]
			c.set.Unreachable(time.Now(), address)
		}
	}
}

// longWait is how long to wait when nothing is due.
const longWait = 24 * time.Hour

func (c *Client) untilNext() time.Duration {
	if next := c.set.Next(); !next.IsZero() {
		return time.Until(next)
	}
	return longWait
}

// writeTimeout bounds what the network may hold the client up for: a request
// that did not get out in time is sent again as any other.
const writeTimeout = time.Second

func (c *Client) send(to netip.AddrPort, request []byte) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := c.conn.WriteTo(request, net.UDPAddrFromAddrPort(to)); err != nil {
		c.failed = append(c.failed, to)
	}
}

// report hands on a status; one that was not looked at yet is replaced.
func (c *Client) report(nonce pcpmsg.Nonce, status Status) {
	statuses, ok := c.statuses[nonce]
	if !ok {
		return
	}
	select {
	case <-statuses:
	default:
	}
	statuses <- status
}

// do has Run's goroutine call f.
func (c *Client) do(ctx context.Context, f func(now time.Time) error) error {
	done := make(chan error, 1)
	select {
	case c.calls <- func(now time.Time) { done <- f(now) }:
		return <-done
	case <-c.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// addrPort is an address of a UDP socket, or of a fake one that has the same
// method.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	with, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}, false
	}
	ap := with.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
}
