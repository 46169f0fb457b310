package udp

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/pcp/datagram"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, address string) *Socket {
	t.Helper()
	s, err := Listen(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(address), 0), "lo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// empty is a batch to receive into.
func empty(n int) []datagram.Datagram {
	into := make([]datagram.Datagram, n)
	for i := range into {
		into[i].Payload = make([]byte, 0, 64)
	}
	return into
}

func dial(t *testing.T, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestEcho: datagrams come with where they are from, and answers get back there,
// from where they were sent to.
func TestEcho(t *testing.T) {
	for _, address := range []string{"::1", "127.0.0.5"} {
		s := listen(t, address)
		client := dial(t, s.Local())
		const count = most + 10
		for i := range count {
			if _, err := client.Write([]byte{byte(i), 2, 3}); err != nil {
				t.Fatal(err)
			}
		}
		seen := 0
		into := empty(2 * most)
		for seen < count {
			n, err := s.Receive(t.Context(), into)
			if err != nil {
				t.Fatal(err)
			}
			var out []datagram.Datagram
			for _, d := range into[:n] {
				if d.From != client.LocalAddr().(*net.UDPAddr).AddrPort() || d.To != s.Local() || !slices.Equal(d.Payload, []byte{byte(seen), 2, 3}) {
					t.Fatalf("%d: %+v", seen, d)
				}
				out = append(out, d.Reply(d.Payload))
				seen++
			}
			if sent := s.Send(t.Context(), out); sent != n {
				t.Fatalf("%d of %d sent", sent, n)
			}
		}
		for i := range count {
			b := make([]byte, 16)
			// A connected socket takes only what comes from where it sends to.
			if err := client.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := client.Read(b)
			if err != nil || n != 3 || b[0] != byte(i) {
				t.Fatalf("%d: %v, %v", i, b[:n], err)
			}
		}
	}
}

// TestLong: what is longer than the memory for it is cut.
func TestLong(t *testing.T) {
	s := listen(t, "::1")
	if _, err := dial(t, s.Local()).Write(make([]byte, 1400)); err != nil {
		t.Fatal(err)
	}
	into := empty(1)
	if n, err := s.Receive(t.Context(), into); n != 1 || err != nil || len(into[0].Payload) != 64 {
		t.Errorf("%d, %v, %d octets", n, err, len(into[0].Payload))
	}
}

// TestSeveral: several goroutines receive, each its own datagrams, and all end with
// the context.
func TestSeveral(t *testing.T) {
	s := listen(t, "::1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got, ended := make(chan byte, 100), make(chan error, 4)
	for range cap(ended) {
		go func() {
			into := empty(4)
			for {
				n, err := s.Receive(ctx, into)
				if err != nil {
					ended <- err
					return
				}
				for _, d := range into[:n] {
					got <- d.Payload[0]
				}
			}
		}()
	}
	client := dial(t, s.Local())
	var want, all []byte
	for i := range cap(got) {
		want = append(want, byte(i))
		if _, err := client.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for range cap(got) {
		all = append(all, <-got)
	}
	if slices.Sort(all); !slices.Equal(all, want) {
		t.Errorf("%v", all)
	}
	cancel()
	for range cap(ended) {
		<-ended
	}
}

// TestUnsendable: one that cannot be sent does not keep others from it.
func TestUnsendable(t *testing.T) {
	s := listen(t, "::1")
	client := dial(t, s.Local())
	good := datagram.Datagram{From: s.Local(), To: client.LocalAddr().(*net.UDPAddr).AddrPort(), Payload: []byte("x")}
	bad := good
	bad.Payload = make([]byte, 1<<16)
	if sent := s.Send(t.Context(), []datagram.Datagram{bad, good, bad, bad, good}); sent != 2 {
		t.Errorf("%d sent", sent)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if sent := s.Send(over, []datagram.Datagram{good}); sent != 0 {
		t.Errorf("%d sent after the end", sent)
	}
}

func TestListenFails(t *testing.T) {
	for _, test := range []struct{ address, device, want string }{
		{"2001:db8::99", "lo", "assign requested address"},
		{"::1", "nosuch0", "device nosuch0: no such device"},
	} {
		_, err := Listen(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(test.address), 0), test.device)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s on %s: %v", test.address, test.device, err)
		}
	}
	s := listen(t, "::1")
	if _, err := Listen(t.Context(), s.Local(), "lo"); err == nil {
		t.Error("opened twice")
	}
}
