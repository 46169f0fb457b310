package provision

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/memory"
)

// running is a Provisioner with room for 4 million leases, on a store in memory
// and a data plane that answers at once.
func running(b *testing.B) *Provisioner {
	b.Helper()
	pools := testPools()
	pools[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}
	pools[0].PSIDLen = 6
	log := logrus.New()
	log.SetOutput(io.Discard)
	table, st, dp := softwire.NewTable(), memory.New(), fake.New()
	dp.Quiet = true
	rec, err := reconcile.New(reconcile.DefaultConfig(), table, dataplane.Network{Pools: pools.Prefixes(), BRs: pools.BRs()}, dp, log)
	if err != nil {
		b.Fatal(err)
	}
	p := New(DefaultConfig(), st, table, rec, time.Now, log)
	if err := p.Load(b.Context(), pools); err != nil {
		b.Fatal(err)
	}
	rec.Complete()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range []func(context.Context) error{st.Run, rec.Run, p.Run} {
		all.Go(func() { _ = run(ctx) })
	}
	b.Cleanup(func() { cancel(); all.Wait() })
	<-rec.Ready()
	return p
}

func BenchmarkAcquire(b *testing.B) {
	p := running(b)
	var next atomic.Int64
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Acquire(b.Context(), request(int(next.Add(1)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkRenew(b *testing.B) {
	p := running(b)
	const leases = 10000
	for i := range leases {
		if _, err := p.Acquire(b.Context(), request(i)); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	b.ResetTimer()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Renew(b.Context(), request(int(next.Add(1)%leases))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
