package delegation

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/memory"
)

// faulty is a store that fails when a test says so.
type faulty struct {
	*memory.Store
	mu sync.Mutex
	// fate says what becomes of the next commit; nil: it succeeds.
	fate func() fate
}

// fate is what becomes of a commit.
type fate uint8

const (
	done    fate = iota
	refused      // not done, and known not to be
	lost         // not done, and not known
	doubted      // done, and not known
)

// fail has fate decide what becomes of commits.
func (f *faulty) fail(fate func() fate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fate = fate
}

func (f *faulty) Commit(ctx context.Context, b store.Batch) error {
	f.mu.Lock()
	what := done
	if f.fate != nil {
		what = f.fate()
	}
	f.mu.Unlock()
	switch what {
	case refused:
		return fmt.Errorf("%w: the test says so", store.ErrStorage)
	case lost:
		return fmt.Errorf("%w: the test says so", store.ErrInDoubt)
	}
	if err := f.Store.Commit(ctx, b); err != nil {
		return err
	}
	if what == doubted {
		return fmt.Errorf("%w: the test says so", store.ErrInDoubt)
	}
	return nil
}

// rig is a Keeper that runs, inside of synctest.Test.
type rig struct {
	*Keeper
	t     *testing.T
	store *faulty
	stop  func()

	mu     sync.Mutex
	given  []netip.Prefix // whose softwires were given back
	refuse bool           // to take softwires back
	deaf   bool           // and not even answer
}

func newRig(t *testing.T, pools ...Pool) *rig { return startRig(t, memory.New(), pools...) }

func startRig(t *testing.T, st *memory.Store, pools ...Pool) *rig {
	t.Helper()
	c := DefaultConfig()
	c.Pools, c.MaxOffers = pools, 4
	log := logrus.New()
	log.SetOutput(io.Discard)
	r := &rig{t: t, store: &faulty{Store: st}}
	r.Keeper = NewKeeper(c, r.store, time.Now, log)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = st.Run(ctx) })
	if err := r.Load(ctx); err != nil {
		t.Fatal(err)
	}
	running.Go(func() { _ = r.Run(ctx, r.giveBack) })
	stopped := false
	r.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			running.Wait()
		}
	}
	t.Cleanup(r.stop)
	return r
}

// restart is the rig after its process died and began again.
func (r *rig) restart(pools ...Pool) *rig {
	r.t.Helper()
	next := r.store.Restart()
	r.stop()
	return startRig(r.t, next, pools...)
}

func (r *rig) giveBack(ctx context.Context, d Delegation) error {
	r.mu.Lock()
	deaf := r.deaf
	r.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse {
		return context.DeadlineExceeded
	}
	r.given = append(r.given, d.Prefix)
	return nil
}

// grant asks for a prefix and has it durable.
func (r *rig) grant(q Query) (Delegation, error) {
	s, err := r.Session(r.t.Context(), q.Client)
	if err != nil {
		return Delegation{}, err
	}
	defer s.Close()
	d, err := s.Grant(q)
	if err != nil {
		return Delegation{}, err
	}
	return d, s.Commit(r.t.Context())
}

func (r *rig) must(q Query) Delegation {
	r.t.Helper()
	d, err := r.grant(q)
	if err != nil {
		r.t.Fatalf("client %s: %v", q.Client, err)
	}
	return d
}

// release gives a prefix back, and has that durable.
func (r *rig) release(d Delegation) error {
	s, err := r.Session(r.t.Context(), d.Client)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Release(d.IAID, d.Prefix); err != nil {
		return err
	}
	return s.Commit(r.t.Context())
}

// small is a pool of n prefixes, a power of two.
func small(name, prefix string, bits uint8) Pool {
	var p Pool
	p.SetDefaults()
	p.Name, p.Prefixes, p.DelegatedLen = name, []netip.Prefix{netip.MustParsePrefix(prefix)}, bits
	p.PreferredLifetime, p.ValidLifetime, p.HoldDown = 30*time.Minute, time.Hour, 5*time.Minute
	return p
}

func from(client string, pools ...string) Query {
	if len(pools) == 0 {
		pools = []string{"a"}
	}
	return Query{Holder: Holder{Client: client, IAID: 1}, Pools: pools}
}
