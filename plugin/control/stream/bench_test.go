package stream

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
)

// BenchmarkExchange is both ends in one process, over a unix socket, with so many who
// ask at the same time as a server of DHCPv6 has under load.
func BenchmarkExchange(b *testing.B) {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r := newRouter()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			r.left <- r.server().Serve(b.Context(), conn)
		}
	}()
	c := NewClient(func(ctx context.Context) (io.ReadWriteCloser, error) {
		return net.Dial("unix", l.Addr().String())
	})
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for name, ask := range map[string]func(context.Context, lease.Request) (lease.Lease, error){"offer": c.Offer, "acquire": c.Acquire} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
					if _, err := ask(ctx, of(1)); err != nil {
						b.Error(err)
					}
					cancel()
				}
			})
		})
	}
}
