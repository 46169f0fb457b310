package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/control/stream"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// streaming is a client of the router's stream, which runs as long as the test.
func streaming(t *testing.T, c *api.Client) *stream.Client {
	t.Helper()
	s := stream.NewClient(func(ctx context.Context) (io.ReadWriteCloser, error) {
		return c.Upgrade(ctx, api.PathLeaseStream, stream.Protocol)
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// TestStream: over a stream a lease is what it is by calls, and errors say the same.
func TestStream(t *testing.T) {
	c, l := lending(t)
	s := streaming(t, c)
	ctx := t.Context()
	q := lease.Request{B4: subscriber(1), Mechanism: pool.DHCPv6, Attributes: "\x01\x02xy"}
	offered, err := s.Offer(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Acquire(ctx, q)
	if err != nil || got.Key() != offered.Key() || got.Softwire.B4 != subscriber(1) {
		t.Fatalf("Acquire: %+v, %v; offered %+v", got, err, offered)
	}
	kept, ok := l.Leases.Lease(got.Key())
	if !ok || kept.Softwire != got.Softwire || kept.Subscriber != got.Subscriber || !kept.Expires.Equal(got.Expires) ||
		kept.Pool != got.Pool || kept.Mechanism != got.Mechanism || kept.Attributes != q.Attributes {
		t.Errorf("%+v is kept, %+v was told", kept, got)
	}
	var refused *api.Error
	if _, err := s.Acquire(ctx, lease.Request{B4: subscriber(2), Mechanism: pool.PCP}); !errors.Is(err, api.CodeMechanism) ||
		!errors.As(err, &refused) || refused.Status != http.StatusConflict {
		t.Errorf("by another mechanism: %v", err)
	}
	for range 2 {
		if err := s.Release(ctx, q); err != nil {
			t.Errorf("Release: %v", err)
		}
	}
	if kept, _ := l.Leases.Lease(got.Key()); kept.State != lease.Resting {
		t.Errorf("after the release: %+v", kept)
	}
}

// TestStreamsRefused: who does not speak the protocol is told so, and so many
// streams leave connections for others.
func TestStreamsRefused(t *testing.T) {
	c, _ := lending(t)
	status := func(err error) int {
		var e *api.Error
		errors.As(err, &e)
		if e == nil {
			return 0
		}
		return e.Status
	}
	if _, err := c.Upgrade(t.Context(), api.PathLeaseStream, "lw4o6-leases/0"); status(err) != http.StatusUpgradeRequired {
		t.Errorf("another version: %v", err)
	}
	if _, err := c.Upgrade(t.Context(), api.PathStatus, stream.Protocol); err == nil {
		t.Error("what is no stream became one")
	}
	for range maxStreams {
		conn, err := c.Upgrade(t.Context(), api.PathLeaseStream, stream.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if _, err := c.Upgrade(t.Context(), api.PathLeaseStream, stream.Protocol); status(err) != http.StatusServiceUnavailable {
		t.Errorf("too many: %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("beside them: %v", err)
	}
}

// TestStreamWithoutLending: a router that lends nothing has no stream.
func TestStreamWithoutLending(t *testing.T) {
	c, _ := serve(t, newFake(t, 1))
	s := streaming(t, c)
	if _, err := s.Offer(t.Context(), lease.Request{}); !errors.Is(err, stream.ErrRefused) || !strings.Contains(err.Error(), "lends no port sets") {
		t.Errorf("got %v", err)
	}
}

// TestStreamEndsWithServer: a stream has not the limits of a request of HTTP; a server
// that is told to stop ends it, and Run does not return before the last of what it was
// asked is over.
func TestStreamEndsWithServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, slow := newFake(t, 1), &slowLeases{asked: make(chan struct{}), over: make(chan struct{})}
		f.lending = &Lending{Leases: slow}
		l := pipes{make(chan net.Conn), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- New(f.router(), 1000, quiet()).Run(ctx, l) }()
		c := stream.NewClient(l.upgraded)
		var asking sync.WaitGroup
		asking.Go(func() {
			if err := c.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
		told := make(chan error, 1)
		asking.Go(func() {
			_, err := c.Acquire(t.Context(), lease.Request{B4: subscriber(1)})
			told <- err
		})
		<-slow.asked
		time.Sleep(3 * readTimeout)
		if len(told) > 0 {
			t.Errorf("the stream has ended: %v", <-told)
		}
		cancel()
		time.Sleep(2 * stopTimeout)
		if len(told) == 0 {
			t.Error("the client still waits")
		}
		select {
		case <-done:
			t.Error("Run has returned while a request is worked on")
		default:
		}
		close(slow.over)
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// pipes is a listener that connections are sent to.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	close(p.closed)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// upgraded is a stream of the server that listens.
func (p pipes) upgraded(context.Context) (io.ReadWriteCloser, error) {
	here, there := net.Pipe()
	p.conns <- there
	if _, err := fmt.Fprintf(here, "GET %s HTTP/1.1\r\nHost: router\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", api.PathLeaseStream, stream.Protocol); err != nil {
		return nil, err
	}
	_, err := http.ReadResponse(bufio.NewReader(here), nil)
	return here, err
}

// slowLeases waits with a lease for as long as it may, and longer, and offers none.
type slowLeases struct {
	Leases
	asked, over chan struct{}
}

func (l *slowLeases) Offer(lease.Request) (lease.Lease, error) {
	return lease.Lease{}, lease.ErrExhausted
}

func (l *slowLeases) Acquire(ctx context.Context, _ lease.Request) (lease.Lease, error) {
	l.asked <- struct{}{}
	<-ctx.Done()
	<-l.over
	return lease.Lease{}, ctx.Err()
}
