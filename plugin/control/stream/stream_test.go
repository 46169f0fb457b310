package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
)

// TestExchange: many ask at the same time, and each gets its own answer, whatever it
// is, over one connection.
func TestExchange(t *testing.T) {
	r := newRouter()
	r.before = func(_ context.Context, q lease.Request) error {
		if q == of(3) {
			return errors.New("three is too many")
		}
		return nil
	}
	opened := 0
	c, stop := client(t, func(ctx context.Context) (io.ReadWriteCloser, error) {
		opened++
		return r.open(ctx)
	})
	var asking sync.WaitGroup
	for i := range uint16(300) {
		asking.Go(func() {
			q := of(i)
			for _, ask := range []func(context.Context, lease.Request) (lease.Lease, error){
				c.Offer, c.Acquire,
				func(ctx context.Context, q lease.Request) (lease.Lease, error) {
					return lease.Lease{}, c.Release(ctx, q)
				},
			} {
				l, err := ask(t.Context(), q)
				switch {
				case i == 3:
					var e *api.Error
					if !errors.As(err, &e) || e.Code != api.CodeQuota || e.Message != "three is too many" || e.Status != http.StatusConflict {
						t.Errorf("%d: %v", i, err)
					}
				case err != nil || l != (lease.Lease{}) && l.Softwire.B4 != q.Subscriber:
					t.Errorf("%d: %+v, %v", i, l, err)
				}
			}
		})
	}
	asking.Wait()
	stop()
	if err := <-r.left; err != nil || opened != 1 {
		t.Errorf("%d connections; %v", opened, err)
	}
}

// TestSlow: a request that takes long holds up no other, and its asker waits as long
// as he says.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		var waited time.Duration
		r.before = func(ctx context.Context, q lease.Request) error {
			if q != of(1) {
				return nil
			}
			began := time.Now()
			<-ctx.Done()
			waited = time.Since(began)
			return ctx.Err()
		}
		c, stop := client(t, r.open)
		defer stop()
		var slow sync.WaitGroup
		slow.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if _, err := c.Acquire(ctx, of(1)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the slow one: %v", err)
			}
		})
		synctest.Wait()
		began := time.Now()
		for i := range uint16(100) {
			if _, err := c.Acquire(t.Context(), of(2+i)); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("the others waited %s", d)
		}
		slow.Wait()
		synctest.Wait()
		if waited != 500*time.Millisecond {
			t.Errorf("the router worked for %s on what was waited for 500ms", waited)
		}
		// Whoever does not say when he gives up waits for so long.
		_, err := c.Acquire(context.Background(), of(1))
		synctest.Wait()
		if err == nil || waited != maxWait {
			t.Errorf("without a limit: %v after %s", err, waited)
		}
	})
}

// TestBroken: when a connection ends all who wait know. Another one is made at once if
// the last was not made just now.
func TestBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.before = func(ctx context.Context, q lease.Request) error {
			if q == of(100) {
				return nil
			}
			<-ctx.Done()
			time.Sleep(time.Second) // it is too late for an answer
			return ctx.Err()
		}
		ctx, crash := context.WithCancel(t.Context())
		c, stop := client(t, func(context.Context) (io.ReadWriteCloser, error) { return r.connect(ctx), nil })
		defer stop()
		var asking sync.WaitGroup
		for i := range uint16(50) {
			asking.Go(func() {
				if _, err := c.Acquire(t.Context(), of(i)); !errors.Is(err, errEnd) {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		crash()
		asking.Wait()
		ctx, crash = context.WithCancel(t.Context())
		began := time.Now()
		if _, err := c.Acquire(t.Context(), of(100)); !errors.Is(err, errEnd) || time.Now() != began {
			t.Errorf("at once: %v after %s", err, time.Since(began))
		}
		time.Sleep(pause)
		if _, err := c.Acquire(t.Context(), of(100)); err != nil {
			t.Errorf("after the pause: %v", err)
		}
		time.Sleep(pause)
		crash()
		synctest.Wait()
		ctx = t.Context()
		if _, err := c.Acquire(t.Context(), of(100)); err != nil {
			t.Errorf("after one that lasted: %v", err)
		}
		for range 2 {
			if err := <-r.left; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
	})
}

// TestNoRouter: that there is none is told to everybody, and costs one try in a while;
// a router that does not know streams is asked less often.
func TestNoRouter(t *testing.T) {
	for _, tt := range []struct {
		name       string
		fault, is  error
		pause      time.Duration
		isRefusing bool
	}{
		{"none", fmt.Errorf("/run/control.sock: %w", api.ErrNoRouter), api.ErrNoRouter, pause, false},
		{"old", &api.Error{Status: http.StatusNotFound, Message: "there is no such path"}, ErrRefused, refusedPause, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				c, stop := client(t, func(context.Context) (io.ReadWriteCloser, error) {
					tries++
					return nil, tt.fault
				})
				defer stop()
				for range 10 {
					for range 100 {
						if _, err := c.Offer(t.Context(), of(1)); !errors.Is(err, tt.is) || errors.Is(err, ErrRefused) != tt.isRefusing {
							t.Fatal(err)
						}
					}
					time.Sleep(tt.pause)
				}
				if tries != 10 {
					t.Errorf("%d tries in ten pauses", tries)
				}
			})
		})
	}
}

// TestStalled: a router that takes requests and says nothing is left for another
// connection, but one that is only late is not.
func TestStalled(t *testing.T) {
	for _, tt := range []struct {
		name   string
		late   time.Duration // of each answer
		opened int
	}{
		// Of each connection it is the fourth call in vain that is too many.
		{"mute", time.Hour, 3},
		{"late", 600 * time.Millisecond, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				opened := 0
				c, stop := client(t, func(context.Context) (io.ReadWriteCloser, error) {
					opened++
					here, there := net.Pipe()
					go answerLate(ctx, there, tt.late)
					return here, nil
				})
				for range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
					if _, err := c.Offer(ctx, of(1)); err == nil {
						t.Error("got an answer")
					}
					cancel()
					time.Sleep(pause)
				}
				stop()
				if opened != tt.opened {
					t.Errorf("%d connections", opened)
				}
			})
		})
	}
}

// answerLate answers requests on conn after some time, until its other end goes.
func answerLate(ctx context.Context, conn net.Conn, late time.Duration) {
	defer conn.Close()
	for r := newReader(conn); ; {
		number, _, _, err := r.next()
		if err != nil {
			return
		}
		go func() {
			select {
			case <-time.After(late):
				_, _ = conn.Write(appendDone(nil, number))
			case <-ctx.Done():
			}
		}()
	}
}

// TestOpeningFails: who waits for a connection that does not come about is told, also
// when the client ends meanwhile.
func TestOpeningFails(t *testing.T) {
	hang := func(ctx context.Context) (io.ReadWriteCloser, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	synctest.Test(t, func(t *testing.T) {
		c, stop := client(t, hang)
		began := time.Now()
		if _, err := c.Offer(t.Context(), of(1)); err == nil || time.Since(began) != openTimeout {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		time.Sleep(pause)
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := c.Offer(t.Context(), of(1)); err == nil {
				t.Error("got an answer")
			}
		})
		synctest.Wait()
		stop()
		asking.Wait()
	})
}

// TestTooMany: what a client has asked and not heard of is bounded.
func TestTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(nil) // which nobody runs
		ctx, cancel := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		for range maxPending {
			asking.Go(func() { _, _ = c.Offer(ctx, of(1)) })
		}
		synctest.Wait()
		if _, err := c.Offer(ctx, of(1)); !errors.Is(err, errBusy) {
			t.Error(err)
		}
		cancel()
		asking.Wait()
	})
}
