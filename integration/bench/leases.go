package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	leasepool "github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// leaseCallers is how many ask for leases at once.
const leaseCallers = 64

// leases measures leases that become durable, programmed in the data plane in
// user space, and recorded in the history, on the disk of the folder build.
func (s scale) leases(context.Context) ([]spec, func() error, error) {
	folder, err := os.MkdirTemp(s.binaries, "leases-")
	if err != nil {
		return nil, nil, err
	}
	l := &leaseFigures{scale: s, folder: folder}
	figure := func(name, unit string, get func() float64) spec {
		return spec{name: name, unit: unit, once: true, ours: func(ctx context.Context) (float64, error) {
			err := l.measure(ctx)
			return get(), err
		}}
	}
	acquired := figure("leases-new", "leases/s", func() float64 { return l.acquired })
	acquired.peer, acquired.theirs = "bbolt Batch of records as long", l.plainBatch
	return []spec{
		acquired,
		figure("leases-new-fsyncs", "fsyncs", func() float64 { return l.fsyncs }),
		figure("leases-renewed", "renewals/s", func() float64 { return l.renewed }),
		figure("leases-memory", "bytes/lease", func() float64 { return l.memory }),
		figure("leases-file", "bytes/lease", func() float64 { return l.file }),
		figure("leases-start", "s", func() float64 { return l.started }),
	}, func() error { return os.RemoveAll(folder) }, nil
}

// leaseFigures are measured in one go, since each needs what the one before
// leaves.
type leaseFigures struct {
	scale    scale
	folder   string
	measured bool
	err      error

	acquired, fsyncs, renewed, memory, file, started float64
}

func (l *leaseFigures) measure(ctx context.Context) error {
	if !l.measured {
		l.measured, l.err = true, l.measureAll(ctx)
	}
	return l.err
}

func (l *leaseFigures) measureAll(ctx context.Context) error {
	before := heap()
	r, err := startLeases(ctx, l.folder)
	if err != nil {
		return err
	}
	err = l.measureRunning(ctx, r, before)
	if err := errors.Join(err, r.stop()); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(l.folder, leaseStore))
	if err != nil {
		return err
	}
	l.file = float64(info.Size()) / float64(l.scale.leaseCount)

	began := time.Now()
	if r, err = startLeases(ctx, l.folder); err != nil {
		return err
	}
	_, err = r.leases.Acquire(ctx, leaseRequest(l.scale.leaseCount/2))
	l.started = time.Since(began).Seconds()
	return errors.Join(err, r.stop())
}

func (l *leaseFigures) measureRunning(ctx context.Context, r *leaseRouter, before float64) error {
	n := l.scale.leaseCount
	began, synced := time.Now(), r.store.Stats().Fsyncs
	var next atomic.Int64
	err := together(ctx, leaseCallers, func(ctx context.Context) error {
		for i := next.Add(1); i <= int64(n); i = next.Add(1) {
			if _, err := r.leases.Acquire(ctx, leaseRequest(int(i))); err != nil {
				return err
			}
		}
		return nil
	})
	l.acquired = float64(n) / time.Since(began).Seconds()
	l.fsyncs = float64(r.store.Stats().Fsyncs - synced)
	if err != nil {
		return err
	}

	began = time.Now()
	next.Store(0)
	err = together(ctx, leaseCallers, func(ctx context.Context) error {
		for time.Since(began) < l.scale.rateTime {
			// All leases in turn, but not one after the other.
			i := int(uint64(next.Add(1)) * 7919 % uint64(n))
			if _, err := r.leases.Renew(ctx, leaseRequest(i+1)); err != nil {
				return err
			}
		}
		return nil
	})
	l.renewed = float64(next.Load()) / time.Since(began).Seconds()
	l.memory = (heap() - before) / float64(n)
	return err
}

// together calls f from several goroutines, with a context that ends when one
// fails.
func together(ctx context.Context, n int, f func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for range n {
		group.Go(func() error { return f(ctx) })
	}
	return group.Wait()
}

// leaseRequest is that of the i-th subscriber.
func leaseRequest(i int) provision.Request {
	a := [16]byte{0x20, 1, 0xd, 0xb8, 15: 1}
	binary.BigEndian.PutUint32(a[3:], 0xb8000000|uint32(i))
	return provision.Request{B4: netip.AddrFrom16(a), Mechanism: leasepool.DHCPv6, Attributes: "\x01\x0e\x00\x01\x00\x01\x2c\x5e\x11\x22\x02\x42\xac\x11\x00\x02"}
}

// idleIO is interfaces on which nothing comes.
type idleIO struct{ noIO }

// Run waits.
func (idleIO) Run(ctx context.Context, _ func() *forwarder.Worker) error {
	<-ctx.Done()
	return nil
}

// Names in the folder.
const (
	leaseStore   = "store"
	leaseHistory = "history"
)

// leaseRouter is what grants leases, without packets.
type leaseRouter struct {
	store   *bolt.Store
	history *history.Log
	leases  *provision.Provisioner
	cancel  context.CancelFunc
	running sync.WaitGroup
	failed  chan error // of those that run, the first
}

// startLeases returns a router that runs.
func startLeases(ctx context.Context, folder string) (*leaseRouter, error) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	p := leasepool.Pool{Name: "shared", Prefixes: []netip.Prefix{pool}, PSIDLen: 6, BR: brAddress}
	p.SetDefaults()
	p.Mechanisms = []leasepool.Mechanism{leasepool.DHCPv6}
	network := dataplane.Network{Pools: p.Prefixes, BRs: []netip.Addr{brAddress}}

	f, err := forwarder.New(forwarder.DefaultConfig(), idleIO{})
	if err != nil {
		return nil, err
	}
	table := softwire.NewTable()
	rec, err := reconcile.New(reconcile.DefaultConfig(), table, network, f, log)
	if err != nil {
		return nil, err
	}
	r := &leaseRouter{failed: make(chan error, 1)}
	if r.store, err = bolt.Open(filepath.Join(folder, leaseStore)); err != nil {
		return nil, err
	}
	if r.history, err = history.Open(filepath.Join(folder, leaseHistory), history.Config{}, log); err != nil {
		return nil, errors.Join(err, r.store.Close())
	}
	r.leases = provision.New(provision.DefaultConfig(), r.store, table, rec, time.Now, log)
	if err := r.leases.Load(ctx, leasepool.Pools{p}); err != nil {
		return nil, errors.Join(err, r.store.Close(), r.history.Close())
	}
	rec.Complete()
	ctx, r.cancel = context.WithCancel(ctx)
	drain := func(ctx context.Context) error { return history.Drain(ctx, r.store, log, r.history) }
	for _, run := range []func(context.Context) error{r.store.Run, f.Run, rec.Run, r.leases.Run, r.history.Run, drain} {
		r.running.Go(func() {
			if err := run(ctx); err != nil {
				select {
				case r.failed <- err:
				default:
				}
				r.cancel()
			}
		})
	}
	return r, nil
}

// stop ends the router.
func (r *leaseRouter) stop() error {
	r.cancel()
	r.running.Wait()
	err := errors.Join(r.store.Close(), r.history.Close())
	select {
	case failed := <-r.failed:
		err = errors.Join(failed, err)
	default:
	}
	return err
}

// plainBatch measures records per second that as many callers put with bbolt's
// own batches.
func (l *leaseFigures) plainBatch(ctx context.Context) (float64, error) {
	db, err := bbolt.Open(filepath.Join(l.folder, "plain"), 0o600, nil)
	if err != nil {
		return 0, err
	}
	bucket, record := []byte("leases"), make([]byte, 130)
	var next atomic.Int64
	began := time.Now()
	err = together(ctx, leaseCallers, func(context.Context) error {
		for time.Since(began) < l.scale.rateTime {
			key := binary.BigEndian.AppendUint64(nil, uint64(next.Add(1)))
			err := db.Batch(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists(bucket)
				if err != nil {
					return err
				}
				return b.Put(key, record)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	rate := float64(next.Load()) / time.Since(began).Seconds()
	return rate, errors.Join(err, db.Close())
}
