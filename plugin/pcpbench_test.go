package plugin

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/pcp/udp"
)

// crowd is a transport on which lwB4s ask in turn, as fast as they are answered.
type crowd struct {
	requests []datagram.Datagram
	left     atomic.Int64 // to ask
	answers  atomic.Int64 // to come
	end      context.CancelFunc
}

func newCrowd(lwb4s int) *crowd {
	c := &crowd{}
	for i := range lwb4s {
		a := netip.MustParseAddr("2001:db8::b4").As16()
		binary.BigEndian.PutUint32(a[3:], 0xb8000000+uint32(i+10))
		from := netip.AddrFrom16(a)
		want := client.Want{Nonce: pcpmsg.Nonce{1}, InternalPort: 1, Ports: pcpmsg.AllPorts, Lifetime: time.Hour}
		c.requests = append(c.requests, datagram.Datagram{
			From: netip.AddrPortFrom(from, 40000), To: netip.MustParseAddrPort("[2001:db8:ffff::1]:5351"),
			Payload: want.AppendRequest(nil, from),
		})
	}
	return c
}

func (c *crowd) Receive(ctx context.Context, into []datagram.Datagram) (int, error) {
	n := int64(len(into))
	left := c.left.Add(-n) + n
	if left <= 0 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	n = min(n, left)
	for i := range n {
		d := c.requests[(left-i)%int64(len(c.requests))]
		d.Payload = append(into[i].Payload[:0], d.Payload...)
		into[i] = d
	}
	return int(n), nil
}

func (c *crowd) Send(_ context.Context, out []datagram.Datagram) int {
	if c.answers.Add(int64(-len(out))) <= 0 {
		c.end()
	}
	return len(out)
}

// ask has n requests answered by as many workers.
func (c *crowd) ask(b *testing.B, run *running, n, workers int) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	c.end = cancel
	c.left.Store(int64(n))
	c.answers.Store(int64(n))
	if err := run.pcp.Run(ctx, c, workers); err != nil {
		b.Fatal(err)
	}
}

// benchmarked is a router with a PCP server and without limits.
func benchmarked(b *testing.B, edit func(*Config)) *running {
	dir := b.TempDir()
	c := pcpConfig(dir)
	c.Store.Path = filepath.Join(dir, "leases.db")
	c.PCP.SourceRate, c.PCP.PrefixRate = 0, 0
	edit(&c)
	p, err := New(c, with(newTestDataplane()))
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	<-p.Ready()
	run, err := p.present()
	if err != nil {
		b.Fatal(err)
	}
	return run
}

const benchmarkedLwB4s = 4096

// BenchmarkPCPRenewal: a server and its leases without sockets, one worker.
func BenchmarkPCPRenewal(b *testing.B) {
	run := benchmarked(b, func(*Config) {})
	all := newCrowd(benchmarkedLwB4s)
	all.ask(b, run, len(all.requests), 1)
	b.ReportAllocs()
	b.ResetTimer()
	all.ask(b, run, b.N, 1)
}

// BenchmarkPCPRenewalUDP: the same over a socket, asked by a third party that waits
// for each batch of answers.
func BenchmarkPCPRenewalUDP(b *testing.B) {
	own := netip.AddrFrom4([4]byte{127, 54, byte(os.Getpid() >> 8), byte(os.Getpid())})
	benchmarked(b, func(c *Config) {
		c.PCP.ThirdParties = []netip.Prefix{netip.PrefixFrom(own, 32)}
		c.PCP.Listen = []pcp.Listener{{Address: own, Interface: "lo"}}
	})
	socket, err := udp.Listen(b.Context(), netip.AddrPortFrom(own, 0), "lo")
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	all := newCrowd(benchmarkedLwB4s)
	for i := range all.requests {
		d := &all.requests[i]
		want := client.Want{
			Nonce: pcpmsg.Nonce{1}, InternalPort: 1, Ports: pcpmsg.AllPorts, Lifetime: time.Hour, ThirdParty: d.From.Addr(),
		}
		*d = datagram.Datagram{From: socket.Local(), To: netip.AddrPortFrom(own, pcpmsg.ServerPort), Payload: want.AppendRequest(nil, own)}
	}
	const window = 64
	ask := func(n int) {
		answers := make([]datagram.Datagram, window)
		for i := range answers {
			answers[i].Payload = make([]byte, 0, pcpmsg.MaxLength)
		}
		for at := 0; at < n; at += window {
			from := at % len(all.requests)
			awaited := socket.Send(b.Context(), all.requests[from:from+window])
			for awaited > 0 {
				got, err := socket.Receive(b.Context(), answers)
				if err != nil {
					b.Fatal(err)
				}
				awaited -= got
			}
		}
	}
	ask(len(all.requests))
	b.ResetTimer()
	ask(b.N)
}
