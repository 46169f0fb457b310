package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// failed reads one answer, which is a failure.
func failed(t *testing.T, r reader) *api.Error {
	t.Helper()
	_, k, content, err := r.next()
	if err != nil {
		t.Fatal(err)
	}
	_, e, err := parseAnswer(k, content)
	if err != nil || e == nil {
		t.Fatalf("answer of kind %d, %v", k, err)
	}
	return e
}

// TestRefusedRequests: what is not understood or too much is answered, and the next
// request is as good as any.
func TestRefusedRequests(t *testing.T) {
	r := newRouter()
	conn := r.connect(t.Context())
	answers := newReader(conn)
	send := func(b []byte) {
		t.Helper()
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	send(unhex(t, "0005 00000007 63"))
	if e := failed(t, answers); e.Status != http.StatusBadRequest {
		t.Errorf("of no kind: %+v", e)
	}
	r.admit = &api.Error{Status: http.StatusTooManyRequests, Message: "too many"}
	send(appendRequest(nil, 8, request{kind: acquire, lease: of(1)}))
	if e := failed(t, answers); e.Status != http.StatusTooManyRequests {
		t.Errorf("beyond the rate: %+v", e)
	}
	r.admit = nil
	send(appendRequest(nil, 9, request{kind: acquire, lease: of(1)}))
	if number, k, _, err := answers.next(); err != nil || number != 9 || k != granted {
		t.Errorf("after that: answer %d of kind %d, %v", number, k, err)
	}
	// Nobody knows where the next message begins after this one.
	send(unhex(t, "0001"))
	if _, _, _, err := answers.next(); err == nil {
		t.Error("the connection goes on")
	}
	if err := <-r.left; !errors.Is(err, errMalformed) {
		t.Errorf("Serve: %v", err)
	}
	conn.Close()
}

// TestManyAtOnce: of one connection no more requests are worked on than that, and the
// others wait in it.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		var mu sync.Mutex
		working, most := 0, 0
		r.before = func(ctx context.Context, q lease.Request) error {
			mu.Lock()
			working++
			most = max(most, working)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			working--
			mu.Unlock()
			return nil
		}
		c, stop := client(t, r.open)
		defer stop()
		var asking sync.WaitGroup
		for range 2 * maxWorking {
			asking.Go(func() {
				if _, err := c.Acquire(t.Context(), of(1)); err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
		if most != maxWorking {
			t.Errorf("%d were worked on at the same time", most)
		}
		// What is answered does not count any more.
		for range maxWorking + 1 {
			if _, err := c.Offer(t.Context(), of(1)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestLongest: whatever an asker says, nothing is worked on for longer than that.
func TestLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.before = func(ctx context.Context, _ lease.Request) error {
			<-ctx.Done()
			return ctx.Err()
		}
		conn := r.connect(t.Context())
		defer conn.Close()
		answers := newReader(conn)
		for _, wait := range []time.Duration{0, time.Hour} {
			began := time.Now()
			if _, err := conn.Write(appendRequest(nil, 7, request{kind: acquire, wait: wait, lease: of(1)})); err != nil {
				t.Fatal(err)
			}
			if e := failed(t, answers); time.Since(began) != maxWait {
				t.Errorf("%s: %v after %s", wait, e, time.Since(began))
			}
		}
	})
}

// TestDeaf: a connection that takes no answers ends, and keeps nothing.
func TestDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		conn := r.connect(t.Context())
		defer conn.Close()
		began, sent := time.Now(), 0
		for {
			if _, err := conn.Write(appendRequest(nil, 7, request{kind: offer, lease: of(1)})); err != nil {
				break
			}
			sent++
		}
		if err := <-r.left; err == nil || time.Since(began) != writeTimeout {
			t.Errorf("Serve: %v after %s", err, time.Since(began))
		}
		if sent > maxWorking+readBuffer {
			t.Errorf("%d requests were read", sent)
		}
	})
}

// TestServerEnds: with its context, whatever goes on.
func TestServerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.before = func(ctx context.Context, _ lease.Request) error {
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		idle, busy := r.connect(ctx), r.connect(ctx)
		defer idle.Close()
		defer busy.Close()
		if _, err := busy.Write(appendRequest(nil, 7, request{kind: release, lease: of(1)})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-r.left; err != nil {
				t.Error(err)
			}
		}
	})
}

// lender is a book of leases, without what makes them durable.
type lender struct{ book *lease.Book }

func newLender(t *testing.T) lender {
	terms := pool.DefaultTerms()
	terms.Mechanisms = []pool.Mechanism{pool.DHCPv6}
	pools := pool.Pools{{
		Name: "a", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")}, PSIDLen: 4,
		BR: netip.MustParseAddr("2001:db8:ffff::1"), Terms: terms,
	}}
	l := lender{lease.NewBook()}
	if err := l.book.Configure(pools, softwire.Change{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l lender) Offer(q lease.Request) (lease.Lease, error) { return l.book.Offer(q, time.Now()) }

func (l lender) Acquire(_ context.Context, q lease.Request) (lease.Lease, error) {
	g, err := l.book.Acquire(q, time.Now())
	return g.Lease, err
}

func (l lender) Release(_ context.Context, q lease.Request) error {
	held, _, err := l.book.Held(q)
	if err == nil {
		_, err = l.book.Leave(held.Key())
	}
	return err
}

// FuzzServer: whatever comes is answered with one message each, or ends it, also when
// it is about leases that there really are.
func FuzzServer(f *testing.F) {
	f.Add(appendRequest(appendRequest(nil, 1, request{kind: offer, lease: of(1)}), 2, request{kind: acquire, wait: time.Second, lease: of(2)}))
	f.Add(appendRequest(nil, 3, request{kind: release, lease: of(3)}))
	f.Add(appendRequest(nil, 4, request{kind: offer, lease: lease.Request{B4: of(4).B4}}))
	f.Add([]byte{0, 5, 0, 0, 0, 7, 99, 0, 1})
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, octets []byte) {
		asked := 0
		for r := newReader(bytes.NewReader(octets)); ; asked++ {
			if _, _, _, err := r.next(); err != nil {
				break
			}
		}
		r := newRouter()
		r.leases = newLender(t)
		conn := r.connect(t.Context())
		var sending sync.WaitGroup
		sending.Go(func() { _, _ = conn.Write(octets) })
		answers := newReader(conn)
		for range asked {
			_, k, content, err := answers.next()
			if err != nil {
				break // what comes after may end it first
			}
			if _, _, err := parseAnswer(k, content); err != nil {
				t.Error(err)
			}
		}
		sending.Wait()
		conn.Close()
		<-r.left
	})
}

// FuzzClient: whatever a router answers is an answer, or ends the connection.
func FuzzClient(f *testing.F) {
	l, err := newRouter().Acquire(context.Background(), of(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendLease(nil, 1, l))
	f.Add(appendDone(appendDone(nil, 2), 1))
	f.Add(appendFailure(nil, 1, &api.Error{Status: 409, Message: "no"}))
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, octets []byte) {
		c, stop := client(t, func(context.Context) (io.ReadWriteCloser, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				if _, _, _, err := newReader(there).next(); err == nil {
					_, _ = there.Write(octets)
				}
			}()
			return here, nil
		})
		_, _ = c.Acquire(t.Context(), of(1))
		stop()
	})
}
