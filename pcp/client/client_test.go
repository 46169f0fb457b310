package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// clock is the epoch of a server that began when the bubble's time did.
func clock() uint32 { return uint32(time.Now().Unix()) }

// respond grants what is asked for, for an hour.
func respond(r pcpmsg.Request) pcpmsg.Response {
	response := pcpmsg.Response{Opcode: r.Opcode, Epoch: clock(), Body: pcpmsg.Body{Mapping: r.Mapping}}
	if r.Opcode == pcpmsg.Map && r.Lifetime > 0 {
		response.Lifetime = 3600
		response.Mapping.External, response.Mapping.ExternalPort = testSet.Addr(), testSet.Port()
		response.Options = pcpmsg.PortSet{Size: 2048, FirstInternal: testSet.Port()}.Append(nil)
	}
	return response
}

// running runs a client in a bubble while f does something with it.
func running(t *testing.T, conn *fakeConn, config Config, f func(ctx context.Context, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		conn.open()
		ctx, cancel := context.WithCancel(t.Context())
		if config.Servers == nil {
			config.Servers = []netip.AddrPort{serverA}
		}
		c, err := New(conn, config)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		f(ctx, c)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := c.Request(t.Context(), softwireWant()); !errors.Is(err, ErrStopped) {
			t.Errorf("a request after the end: %v", err)
		}
	})
}

// TestHold: a mapping is asked for, renewed, recovered and, in the end, deleted.
func TestHold(t *testing.T) {
	const began = 946684800 // when a bubble's time begins
	var asked, reset atomic.Uint32
	conn := newFakeConn(nil)
	conn.answer = func(_ netip.AddrPort, r pcpmsg.Request) []pcpmsg.Response {
		if asked.Add(1) == 1 {
			return nil // lost
		}
		response := respond(r)
		response.Epoch -= reset.Load()
		return []pcpmsg.Response{response}
	}
	lost := make(chan netip.AddrPort, 1)
	running(t, conn, Config{StateLost: func(server netip.AddrPort) { lost <- server }}, func(ctx context.Context, c *Client) {
		hold, release := context.WithCancel(ctx)
		seen, done := make(chan Status, 8), make(chan error, 1)
		go func() { done <- c.Hold(hold, softwireWant(), func(s Status) { seen <- s }) }()
		expect := func(after time.Duration, requests uint32) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if len(seen) != 1 || asked.Load() != requests {
				t.Fatalf("%d requests, %d statuses seen", asked.Load(), len(seen))
			}
			if s := <-seen; !s.Held || s.Grant.Ports != 2048 {
				t.Fatalf("seen %+v", s)
			}
		}
		expect(4*time.Second, 2)
		expect(38*time.Minute, 3)
		reset.Store(began)
		announcement := pcpmsg.Response{Opcode: pcpmsg.Announce, Epoch: clock() - began}
		conn.arrive <- packet{serverA, announcement.Append(nil)}
		expect(5*time.Second, 4)
		if len(lost) != 1 {
			t.Error("nobody was told that the server lost its state")
		}
		if err := c.Delete(ctx, softwireWant()); !errors.Is(err, ErrNonceInUse) {
			t.Errorf("deleted while it is held: %v", err)
		}
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := c.Delete(ctx, softwireWant()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if asked.Load() != 5 || len(c.statuses) != 0 || len(c.set.mappings) != 0 {
			t.Errorf("%d requests, %d listeners and %d mappings left", asked.Load(), len(c.statuses), len(c.set.mappings))
		}
	})
}

func TestRequest(t *testing.T) {
	conn := newFakeConn(func(_ netip.AddrPort, r pcpmsg.Request) []pcpmsg.Response {
		return []pcpmsg.Response{respond(r)}
	})
	running(t, conn, Config{}, func(ctx context.Context, c *Client) {
		for range 2 { // and once more, which is how it is renewed
			g, err := c.Request(ctx, softwireWant())
			if set, setErr := g.PortSet(); err != nil || setErr != nil || set.String() != "0/5/13" || g.External != testSet.Addr() {
				t.Fatalf("%+v, %v, %v", g, err, setErr)
			}
		}
		if _, err := c.Request(ctx, Want{}); !errors.Is(err, ErrWant) {
			t.Errorf("%v", err)
		}
		if err := c.Delete(ctx, softwireWant()); err != nil {
			t.Error(err)
		}
	})
}

func TestRequestRefused(t *testing.T) {
	results := []pcpmsg.ResultCode{pcpmsg.NotAuthorized, pcpmsg.Success, pcpmsg.NoResources, pcpmsg.NotAuthorized}
	conn := newFakeConn(nil)
	conn.answer = func(_ netip.AddrPort, r pcpmsg.Request) []pcpmsg.Response {
		response := respond(r)
		response.Result, response.Lifetime = results[0], 0
		if len(results) > 1 {
			results = results[1:]
		}
		return []pcpmsg.Response{response}
	}
	running(t, conn, Config{}, func(ctx context.Context, c *Client) {
		var refused ResultError
		if _, err := c.Request(ctx, softwireWant()); !errors.As(err, &refused) || refused.Result != pcpmsg.NotAuthorized {
			t.Errorf("%v", err)
		}
		if _, err := c.Request(ctx, softwireWant()); !errors.Is(err, ErrNothing) {
			t.Errorf("%v", err)
		}
		// NO_RESOURCES is waited for, and then it is refused for good.
		start := time.Now()
		if err := c.Delete(ctx, softwireWant()); !errors.As(err, &refused) || refused.Result != pcpmsg.NotAuthorized || time.Since(start) != 30*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// TestNoAnswer: the context ends what nobody answers.
func TestNoAnswer(t *testing.T) {
	conn := newFakeConn(func(netip.AddrPort, pcpmsg.Request) []pcpmsg.Response { return nil })
	running(t, conn, Config{}, func(ctx context.Context, c *Client) {
		limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		if _, err := c.Request(limited, softwireWant()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := c.Delete(limited, softwireWant()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if _, err := c.Announce(limited); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := c.Hold(limited, softwireWant(), nil); err != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("before Run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(conn, Config{Servers: []netip.AddrPort{serverA}})
			if err != nil {
				t.Fatal(err)
			}
			limited, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := c.Request(limited, softwireWant()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if _, err := c.Announce(limited); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
	})
}

// TestAnnounce: retransmitted, and to the next address in the end.
func TestAnnounce(t *testing.T) {
	var asked []netip.AddrPort
	conn := newFakeConn(func(to netip.AddrPort, r pcpmsg.Request) []pcpmsg.Response {
		if asked = append(asked, to); to != serverB {
			return nil
		}
		return []pcpmsg.Response{respond(r)}
	})
	running(t, conn, Config{Servers: []netip.AddrPort{serverA, serverB}}, func(ctx context.Context, c *Client) {
		a, err := c.Announce(ctx)
		if err != nil || a.Server != serverB || a.Epoch != clock() {
			t.Errorf("%+v, %v", a, err)
		}
		if want := []netip.AddrPort{serverA, serverA, serverA, serverA, serverB}; !slices.Equal(asked, want) {
			t.Errorf("asked %v", asked)
		}
		if len(c.probes) != 0 {
			t.Error("still waits for one")
		}
	})
}

// TestCannotSend: an address that nothing can be sent to is given up at once.
func TestCannotSend(t *testing.T) {
	conn := newFakeConn(nil)
	conn.broken = syscall.ENETUNREACH
	running(t, conn, Config{Servers: []netip.AddrPort{serverA, serverB}}, func(ctx context.Context, c *Client) {
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := c.Request(limited, softwireWant()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	conn := newFakeConn(nil)
	for name, test := range map[string]struct {
		local  string
		config Config
		want   error
	}{
		"no server":      {"[2001:db8::1]:1", Config{}, ErrServers},
		"no address":     {"[::]:1", Config{Servers: []netip.AddrPort{serverA}}, ErrAddress},
		"other family":   {"192.0.0.2:1", Config{Servers: []netip.AddrPort{serverA}}, ErrAddress},
		"no real timing": {"[2001:db8::1]:1", Config{Servers: []netip.AddrPort{serverA}, Timing: Timing{Initial: 1}}, ErrTiming},
	} {
		conn.local = netip.MustParseAddrPort(test.local)
		if _, err := New(conn, test.config); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	conn.local = netip.MustParseAddrPort("[::]:1")
	if _, err := New(conn, Config{Servers: []netip.AddrPort{serverA}, Address: testB4}); err != nil {
		t.Error(err)
	}
}

// TestSockets is the same over sockets of the system.
func TestSockets(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(loopback, func(t *testing.T) {
			server, err := net.ListenPacket("udp", loopback)
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			go serve(server)
			address, _ := addrPort(server.LocalAddr())
			conn, err := Listen(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			c, err := New(conn, Config{Servers: []netip.AddrPort{address}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.Run(ctx) }()
			if g, err := c.Request(ctx, softwireWant()); err != nil || g.Ports != 2048 {
				t.Errorf("%+v, %v", g, err)
			}
			if a, err := c.Announce(ctx); err != nil || a.Server != address {
				t.Errorf("%+v, %v", a, err)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := ListenFrom(t.Context(), netip.MustParseAddr("192.0.2.77")); !errors.Is(err, ErrAddress) {
		t.Errorf("an address of others: %v", err)
	}
	if _, err := Listen(t.Context(), netip.AddrPort{}); !errors.Is(err, ErrAddress) {
		t.Errorf("no server: %v", err)
	}
}

// TestPortUnreachable: RFC 7488 section 3: after a hard ICMP error the next address
// is asked at once.
func TestPortUnreachable(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		socketOf := func() net.PacketConn {
			conn, err := ListenFrom(t.Context(), netip.MustParseAddr(loopback))
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		closed, server, conn := socketOf(), socketOf(), socketOf()
		nobody, _ := addrPort(closed.LocalAddr())
		address, _ := addrPort(server.LocalAddr())
		closed.Close()
		defer server.Close()
		defer conn.Close()
		go serve(server)
		timing := DefaultTiming()
		timing.Initial = timing.Maximum // far beyond the end of the test
		c, err := New(conn, Config{Servers: []netip.AddrPort{nobody, address}, Timing: timing})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		if g, err := c.Request(ctx, softwireWant()); err != nil || g.Ports != 2048 {
			t.Errorf("%s: %+v, %v", loopback, g, err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// serve answers until the socket is closed.
func serve(conn net.PacketConn) {
	b := make([]byte, pcpmsg.MaxLength)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		r, err := pcpmsg.ParseRequest(b[:n])
		if client, _ := addrPort(from); err != nil || r.Client != client.Addr() {
			continue
		}
		response := respond(r)
		if _, err := conn.WriteTo(response.Append(nil), from); err != nil {
			return
		}
	}
}
