package portsets

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	lwb4    = netip.MustParseAddr("2001:db8:1::1")
	server  = netip.MustParseAddrPort("[2001:db8:ffff::1]:5351")
	address = netip.MustParseAddr("192.0.2.1")
)

// street is an lwAFTR: the project's PCP server on a pool of one address in which
// sets have 1,024 ports.
type street struct {
	*testing.T
	*pcp.Server
	mu     sync.Mutex
	held   []pcp.Binding
	quota  int
	down   bool
	mangle func(pcpmsg.Response) pcpmsg.Response // what the way does to answers
	opened atomic.Int32
	epoch  *pcp.Epoch

	told chan provision.Event
	keep *Keeper
	stop func()
}

// in runs a story with a Keeper in a bubble.
func in(t *testing.T, quota int, story func(s *street)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &street{T: t, quota: quota, epoch: pcp.NewEpoch(time.Now()), told: make(chan provision.Event, 100)}
		var err error
		config := pcp.DefaultConfig()
		config.SoftwireNonce = pcp.NonceStrict
		s.Server, err = pcp.New(config, s, s.epoch, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		s.start()
		story(s)
		s.stop()
	})
}

// start starts the Keeper, as a CPE that knows its nonce.
func (s *street) start() {
	log := logrus.New()
	log.SetOutput(s.Output())
	s.keep = New(Config{
		Server: server, Open: s.open, Nonce: pcpmsg.Nonce{1, 2, 3}, Lifetime: time.Hour, MaxSets: 3,
		Check: 30 * time.Second, Patience: 10 * time.Second,
		Report: func(e provision.Event) { s.told <- e },
	}, log)
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.keep.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	}
}

// Held implements pcp.Grants.
func (s *street) Held(netip.Addr) []pcp.Binding {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.held), func(b pcp.Binding) bool { return time.Now().After(b.Expires) })
}

// Extend implements pcp.Grants: everything goes the long way here.
func (s *street) Extend(pcp.Want) (pcp.Binding, bool) { return pcp.Binding{}, false }

// Acquire implements pcp.Grants: it gives the lowest set that fits.
func (s *street) Acquire(_ context.Context, w pcp.Want) (pcp.Binding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	expires := time.Now().Add(w.Lifetime)
	for i := range s.held {
		if s.held[i].Number == w.Number {
			s.held[i].Nonce, s.held[i].Expires = w.Nonce, expires
			return s.held[i], nil
		}
	}
	if len(s.held) >= s.quota {
		return pcp.Binding{}, pcp.ErrQuota
	}
	for psid := uint16(1); psid < 64; psid++ {
		set, err := portset.Of(0, 6, psid)
		if err != nil {
			return pcp.Binding{}, err
		}
		r := block(set)
		if r.First < w.Within.First || r.Last > w.Within.Last || slices.ContainsFunc(s.held, func(b pcp.Binding) bool { return b.PortSet == set }) {
			continue
		}
		b := pcp.Binding{Number: w.Number, LwB4: w.LwB4, IPv4: address, PortSet: set, Nonce: w.Nonce, Known: true, Expires: expires}
		s.held = append(s.held, b)
		return b, nil
	}
	return pcp.Binding{}, pcp.ErrRange
}

// Release implements pcp.Grants.
func (s *street) Release(_ context.Context, _ netip.Addr, number uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = slices.DeleteFunc(s.held, func(b pcp.Binding) bool { return b.Number == number })
	return nil
}

// set changes the street while others look.
func (s *street) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// open is a socket whose other end is the server.
func (s *street) open() (net.PacketConn, error) {
	port := 40000 + s.opened.Add(1)
	return &fakeConn{street: s, port: uint16(port), arrive: make(chan []byte, 16), closed: make(chan struct{})}, nil
}

type fakeConn struct {
	street *street
	port   uint16
	arrive chan []byte
	closed chan struct{}
	once   sync.Once
}

func (c *fakeConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.street.mu.Lock()
	down, mangle := c.street.down, c.street.mangle
	c.street.mu.Unlock()
	if down {
		return len(b), nil
	}
	for _, answer := range c.street.Answer(context.Background(), pcp.Origin{LwB4: lwb4, Source: lwb4}, b) {
		if r, err := pcpmsg.ParseResponse(answer); err == nil && mangle != nil {
			r = mangle(r)
			answer = r.Append(nil)
		}
		c.arrive <- answer
	}
	return len(b), nil
}

func (c *fakeConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.arrive:
		return copy(b, p), net.UDPAddrFromAddrPort(server), nil
	case <-c.closed:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (c *fakeConn) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(lwb4, c.port))
}
func (c *fakeConn) Close() error                     { return nil }
func (c *fakeConn) SetDeadline(time.Time) error      { return nil }
func (c *fakeConn) SetWriteDeadline(time.Time) error { return nil }
func (c *fakeConn) SetReadDeadline(t time.Time) error {
	if !t.After(time.Now()) {
		c.once.Do(func() { close(c.closed) })
	}
	return nil
}

// granted waits for the next grant, and skips what else is told.
func (s *street) granted() provision.Granted {
	s.Helper()
	for {
		if g, ok := s.next().(provision.Granted); ok {
			return g
		}
	}
}

func (s *street) next() provision.Event {
	s.Helper()
	select {
	case e := <-s.told:
		return e
	case <-time.After(3 * time.Hour):
		s.Fatal("nothing is told")
		return nil
	}
}

// want waits until the port sets are those.
func (s *street) want(psids ...uint16) {
	s.Helper()
	want := assign.Ports{IPv4: address}
	for _, psid := range psids {
		set, err := portset.Of(0, 6, psid)
		if err != nil {
			s.Fatal(err)
		}
		want.Sets = append(want.Sets, set)
	}
	var got assign.Ports
	for range 20 {
		if got = s.granted().Ports; got.Equal(want) {
			return
		}
	}
	s.Fatalf("got %s, want %s", got, want)
}

// holds compares what the server has.
func (s *street) holds(psids ...uint16) {
	s.Helper()
	synctest.Wait()
	var got []uint16
	for _, b := range s.Held(lwb4) {
		got = append(got, b.PortSet.PSID())
	}
	slices.Sort(got)
	if !slices.Equal(got, psids) {
		s.Fatalf("the server has %v, want %v", got, psids)
	}
}
