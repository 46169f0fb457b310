package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

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

// TestStreamEndsWithServer: a server that is told to stop ends its streams, with
// whatever they wait for, before Run returns.
func TestStreamEndsWithServer(t *testing.T) {
	var asking sync.WaitGroup
	t.Run("while it runs", func(in *testing.T) {
		f, waiting := newFake(in, 1), &slowLeases{asked: make(chan struct{}, 1)}
		f.lending = &Lending{Leases: waiting}
		c, _ := serve(in, f)
		s := streaming(t, c)
		asking.Go(func() {
			if _, err := s.Acquire(context.Background(), lease.Request{B4: subscriber(1)}); err == nil {
				t.Error("got a lease")
			}
		})
		<-waiting.asked
	})
	asking.Wait()
}

// slowLeases waits with a lease for as long as it may, and offers none.
type slowLeases struct {
	Leases
	asked chan struct{}
}

func (l *slowLeases) Offer(lease.Request) (lease.Lease, error) {
	return lease.Lease{}, lease.ErrExhausted
}

func (l *slowLeases) Acquire(ctx context.Context, _ lease.Request) (lease.Lease, error) {
	l.asked <- struct{}{}
	<-ctx.Done()
	return lease.Lease{}, ctx.Err()
}
