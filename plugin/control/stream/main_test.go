package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// router is a router that grants every subscriber a lease, which is told by its
// request. before is called with what it is asked, and may wait or fail.
type router struct {
	before func(ctx context.Context, q lease.Request) error
	admit  error
	leases Leases     // who grants
	left   chan error // what Serve returned, once for each connection
}

func newRouter() *router {
	r := &router{
		before: func(context.Context, lease.Request) error { return nil },
		left:   make(chan error, 100),
	}
	r.leases = r
	return r
}

func (r *router) Offer(q lease.Request) (lease.Lease, error) {
	return r.Acquire(context.Background(), q)
}

func (r *router) Acquire(ctx context.Context, q lease.Request) (lease.Lease, error) {
	if err := r.before(ctx, q); err != nil {
		return lease.Lease{}, err
	}
	return lease.Lease{
		Softwire: softwire.Softwire{
			IPv4: netip.MustParseAddr("192.0.2.1"), PortSet: set(6, 8, 9), B4: q.Subscriber, BR: netip.MustParseAddr("2001:db8:ffff::1"),
		},
		Subscriber: netip.PrefixFrom(q.Subscriber, 64), Pool: "a", Mechanism: q.Mechanism, Expires: time.Unix(1_800_000_000, 0).UTC(),
	}, nil
}

func (r *router) Release(ctx context.Context, q lease.Request) error { return r.before(ctx, q) }

// server answers for the router.
func (r *router) server() Server {
	return Server{
		Leases: r.leases, Admit: func() error { return r.admit },
		Explain: func(err error) *api.Error {
			var e *api.Error
			if errors.As(err, &e) {
				return e
			}
			return &api.Error{Status: http.StatusConflict, Code: api.CodeQuota, Message: err.Error()}
		},
	}
}

// connect is the other end of a connection that the router serves.
func (r *router) connect(ctx context.Context) net.Conn {
	here, there := net.Pipe()
	go func() { r.left <- r.server().Serve(ctx, there) }()
	return here
}

func (r *router) open(context.Context) (io.ReadWriteCloser, error) {
	return r.connect(context.Background()), nil
}

// client runs a Client with open until the test calls stop.
func client(t *testing.T, open func(context.Context) (io.ReadWriteCloser, error)) (c *Client, stop func()) {
	c = NewClient(open)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := c.Offer(t.Context(), of(1)); !errors.Is(err, ErrClosed) {
			t.Errorf("after Run: %v", err)
		}
	}
}

func set(offset, length uint8, psid uint16) portset.PortSet {
	s, err := portset.Of(offset, length, psid)
	if err != nil {
		panic(err)
	}
	return s
}

// of is the request of a subscriber.
func of(i uint16) lease.Request {
	b4 := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 8), byte(i), 15: 1})
	return lease.Request{Subscriber: b4, B4: b4, Mechanism: pool.DHCPv6, Lifetime: time.Hour}
}
