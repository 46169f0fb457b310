package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// holdDown is short, so that a run sees many.
const holdDown = time.Second

// testPools have few port sets, so that they change hands often.
func testPools() pool.Pools {
	p := pool.Pool{
		Name: "shared", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/31")},
		PSIDLen: 3, BR: netip.MustParseAddr("2001:db8:ffff::1"),
	}
	p.SetDefaults()
	p.Mechanisms = []pool.Mechanism{pool.DHCPv6}
	p.Lifetime = pool.Lifetime{Min: time.Second, Default: 2 * time.Second, Max: 5 * time.Second}
	p.HoldDown = holdDown
	return pool.Pools{p}
}

// Result is what a run did.
type Result struct {
	Seed         uint64
	Lives        int // children that answered
	Asked, Acked int64
	Claims       int // times that the history was asked about
	Disk         disk.Counts
	Killed       int      // children, by the parent
	Broken       []string // invariants
}

// run is one run: several children after each other, on one disk and one data
// plane.
type run struct {
	binary  string
	random  *rand.Rand
	disk    *disk.Disk
	plane   *Plane
	record  *record
	workers []*worker
	asked   atomic.Int64
	acked   atomic.Int64
	result  Result
	s       settings
}

// execute makes the run with that seed. What the scheduler does is not repeated
// by it. An error means that nothing can be said.
func execute(ctx context.Context, binary string, seed uint64, prepare func(*disk.Disk)) (Result, error) {
	folder, err := os.MkdirTemp("", "lw4o6-chaos-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(folder)
	x, err := newRun(folder, binary, seed)
	if err != nil {
		return Result{}, err
	}
	prepare(x.disk)
	err = x.lives(ctx)
	x.result.Asked, x.result.Acked = x.asked.Load(), x.acked.Load()
	x.result.Disk = x.disk.Counts()
	x.result.Broken = x.record.failed()
	if len(x.result.Broken) > 0 {
		return x.result, nil // whatever came of it
	}
	return x.result, err
}

func newRun(folder, binary string, seed uint64) (*run, error) {
	path := filepath.Join(folder, storeName)
	s, err := bolt.Open(path)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return nil, err
	}
	d, err := disk.New(folder, seed, storeName)
	if err != nil {
		return nil, err
	}
	x := &run{binary: binary, random: rand.New(rand.NewPCG(seed, 0)), disk: d, record: newRecord(holdDown)}
	x.result.Seed = seed
	x.s = settings{Folder: folder, Pools: testPools()}
	x.plane = newPlane(seed, x.record)
	for n := range workers {
		x.workers = append(x.workers, &worker{
			number: n, random: rand.New(rand.NewPCG(seed, 10+uint64(n))),
			record: x.record, asked: &x.asked, acked: &x.acked,
		})
	}
	return x, nil
}

// lives lets children live and die, and in the end one that is left in peace.
func (x *run) lives(ctx context.Context) error {
	for range 4 + x.random.IntN(3) {
		x.plane.behave(false)
		if err := x.live(ctx, x.faults(), time.Duration(100+x.random.IntN(700))*time.Millisecond); err != nil {
			return err
		}
		if len(x.record.failed()) > 0 {
			return nil
		}
		if err := x.mishap(); err != nil {
			return err
		}
	}
	x.plane.behave(true)
	return x.lastLife(ctx)
}

// faults are those of one life.
func (x *run) faults() disk.Faults {
	switch x.random.IntN(3) {
	case 0:
		return disk.Faults{}
	case 1:
		return disk.Faults{Kill: 200 + x.random.IntN(2000)}
	}
	return disk.Faults{Fail: 20 + x.random.IntN(300), Short: 50 + x.random.IntN(300), Kill: 500 + x.random.IntN(2000)}
}

// mishap is what happens between two lives.
func (x *run) mishap() error {
	if x.random.IntN(3) == 0 {
		if err := x.disk.LosePower(); err != nil {
			return err
		}
	}
	if x.random.IntN(4) == 0 {
		x.plane.lose()
	}
	if x.random.IntN(4) == 0 {
		x.s.Ahead = x.record.advance(time.Duration(x.random.IntN(3000)) * time.Millisecond)
	}
	return nil
}

// live is one life, which ends when it has lasted for d at the latest.
func (x *run) live(ctx context.Context, faults disk.Faults, d time.Duration) error {
	x.disk.Inject(faults)
	l, err := start(x.binary, x.s, x.disk, x.plane)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err = x.use(ctx, l)
	if ctx.Err() != nil {
		x.result.Killed++
	}
	cancel()
	if err := errors.Join(err, l.end()); err != nil {
		return err
	}
	return x.heard(l, faults)
}

// use checks what a child has and asks it for things until ctx ends or it does.
func (x *run) use(ctx context.Context, l *life) error {
	var state State
	if err := l.call(ctx, "State", Nothing{}, &state); err != nil {
		return nil // it did not get that far
	}
	x.result.Lives++
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return x.recovered(ctx, l) })
	for _, w := range x.workers {
		group.Go(func() error { return w.work(ctx, l) })
	}
	return group.Wait()
}

// heard judges why a child ended by itself. Without faults it has no reason to,
// and whatever happens it must not find its files damaged.
func (x *run) heard(l *life, faults disk.Faults) error {
	said := l.stderr.String()
	switch {
	case said == "":
		return nil
	case strings.Contains(said, store.ErrCorrupt.Error()), strings.Contains(said, store.ErrTruncated.Error()),
		strings.Contains(said, store.ErrForeign.Error()), strings.Contains(said, history.ErrCorrupt.Error()):
		x.record.broke("I2", "a child refuses to start: %s", said)
	case faults.Fail == 0:
		return fmt.Errorf("a child ended: %s", said)
	}
	return nil
}
