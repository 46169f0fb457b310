package provision

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testPools are a pool for everybody with lifetimes of minutes, and one to move
// to.
func testPools() pool.Pools {
	lent := func(name, prefix string) pool.Pool {
		p := pool.Pool{Name: name, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}, PSIDLen: 4, BR: netip.MustParseAddr("2001:db8:ffff::1")}
		p.SetDefaults()
		p.Mechanisms = []pool.Mechanism{pool.Static, pool.DHCPv6, pool.PCP}
		p.Lifetime = pool.Lifetime{Min: time.Minute, Default: 10 * time.Minute, Max: time.Hour}
		return p
	}
	return pool.Pools{lent("a", "192.0.2.0/30"), lent("b", "198.51.100.0/30")}
}

// deck is everything that a Provisioner needs, inside a synctest bubble. The
// store and the data plane outlive a crash.
type deck struct {
	*testing.T
	pools  pool.Pools
	static []softwire.Softwire
	store  *memory.Store
	dp     *fake.Dataplane
	log    *logtest.Hook
	record *record
	skew   time.Duration // of the time of day

	table *softwire.Table
	rec   *reconcile.Reconciler
	p     *Provisioner
	stop  func()
}

func newDeck(t *testing.T) *deck {
	d := &deck{T: t, pools: testPools(), store: memory.New(), dp: fake.New(), record: &record{}}
	d.record.attach(d)
	d.Cleanup(func() {
		if d.stop != nil {
			d.stop()
		}
	})
	return d
}

// start starts a router on what the store and the data plane have.
func (d *deck) start() *deck {
	d.Helper()
	if err := d.tryStart(); err != nil {
		d.Fatal(err)
	}
	return d
}

func (d *deck) tryStart() error {
	d.table = softwire.NewTable()
	if err := d.table.Apply(softwire.Change{Put: d.static}); err != nil {
		return err
	}
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	d.log = hook
	network := dataplane.Network{Pools: d.pools.Prefixes(), BRs: d.pools.BRs()}
	rec, err := reconcile.New(reconcile.DefaultConfig(), d.table, network, d.dp, log)
	if err != nil {
		return err
	}
	d.rec = rec
	d.p = New(DefaultConfig(), d.store, d.table, rec, func() time.Time { return time.Now().Add(d.skew) }, log)
	if err := d.p.Load(context.Background(), d.pools); err != nil {
		return err
	}
	rec.Complete()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range []func(context.Context) error{d.store.Run, rec.Run, d.p.Run} {
		all.Go(func() {
			if err := run(ctx); err != nil {
				d.Errorf("Run: %v", err)
			}
		})
	}
	d.stop = func() {
		cancel()
		all.Wait()
		d.stop = nil
	}
	return nil
}

// crash loses everything but what is durable and what is in the data plane.
func (d *deck) crash() {
	d.Helper()
	after := d.store.Restart()
	after.OnCommit = d.store.OnCommit
	d.stop()
	d.store = after
}

// request is that of the subscriber with a number.
func request(subscriber int) Request {
	a := netip.MustParseAddr("2001:db8::b4").As16()
	binary.BigEndian.PutUint32(a[3:], 0xb8000000+uint32(subscriber))
	return Request{B4: netip.AddrFrom16(a), Mechanism: pool.PCP}
}

// acquire wants a lease within a second.
func (d *deck) acquire(q Request) Lease {
	d.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l, err := d.p.Acquire(ctx, q)
	if err != nil {
		d.Fatal(err)
	}
	d.acknowledged(d.p, l)
	return l
}

// acknowledged requires what I2 says of a lease at the moment it is granted.
func (d *deck) acknowledged(p *Provisioner, l Lease) {
	d.Helper()
	if got, ok := d.dp.Held()[l.Key()]; !ok || got != l.Softwire {
		d.Errorf("%s was granted and is not programmed: %s", l.Softwire, got)
	}
	stored, ok := d.stored(p, l.Key())
	if !ok || stored.Subscriber != l.Subscriber || stored.State != lease.Bound || stored.Horizon.Before(l.Expires) {
		d.Errorf("%s was granted until %s and is not durable: %+v", l.Softwire, l.Expires, stored)
	}
}

func (d *deck) stored(p *Provisioner, key softwire.Key) (Lease, bool) {
	d.Helper()
	for l, err := range p.store.Leases(context.Background()) {
		if err != nil {
			d.Fatal(err)
		}
		if l.Key() == key {
			return l, true
		}
	}
	return Lease{}, false
}

// record is what happened to the store and the data plane, in order, and how
// they fail.
type record struct {
	mu   sync.Mutex
	done []string

	failCommit error // nil: commits succeed
	refuseOps  error
	retryOps   error
	hangApply  chan struct{} // until it is closed
}

// set changes how things fail.
func (r *record) set(change func(*record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.done
	r.done = nil
	return done
}

func (r *record) attach(d *deck) {
	d.store.OnCommit = func(_ context.Context, b store.Batch) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.failCommit != nil {
			return r.failCommit
		}
		for _, l := range b.Put {
			r.done = append(r.done, fmt.Sprintf("durable %s %s", l.State, l.Key()))
		}
		return nil
	}
	d.dp.OnOp = func(op dataplane.Op) dataplane.Result {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuseOps != nil {
			return dataplane.Result{Outcome: dataplane.Unsupported, Err: r.refuseOps}
		}
		if r.retryOps != nil {
			return dataplane.Result{Outcome: dataplane.Retryable, Err: r.retryOps}
		}
		r.done = append(r.done, fmt.Sprintf("%s %s", op.Kind, op.Softwire.Key()))
		return dataplane.Result{}
	}
	d.dp.OnCall = func(ctx context.Context, call fake.Call) error {
		r.mu.Lock()
		hang := r.hangApply
		r.mu.Unlock()
		if hang == nil || call.Kind != fake.CallApply {
			return nil
		}
		select {
		case <-hang:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
