package provision

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// witness sees what the data plane is told and what subscribers are told, and
// knows nothing else.
type witness struct {
	*testing.T
	holdDown time.Duration

	mu   sync.Mutex
	rand *rand.Rand
	// held is what the data plane had last for each port set, and from when on it
	// had it no more.
	held map[softwire.Key]passed
	// told is what subscribers were told and have not given up.
	told map[netip.Addr]Lease
	// released are those who were told that they have nothing, and did not ask
	// since.
	released map[netip.Addr]bool
	// dead routers tell nobody anything.
	dead                bool
	failing, hanging    bool
	puts, takeovers     int
	grants, failed      int
	crashes, configured int
}

type passed struct {
	b4   netip.Addr
	gone time.Time // zero: still there
	life int       // how many crashes there were before it was put
}

func (w *witness) n(most int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(most)
}

// pause is how long a disk or a data plane takes.
func (w *witness) pause() { time.Sleep(time.Duration(w.n(20)) * time.Millisecond) }

// attach makes disk and data plane slow, and fail as w says.
func (w *witness) attach(d *deck) {
	d.store.OnCommit = func(context.Context, store.Batch) error {
		w.pause()
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case w.dead:
			return store.ErrClosed
		case w.failing && w.rand.IntN(4) == 0:
			return store.ErrInDoubt
		case w.failing:
			return store.ErrStorage
		}
		return nil
	}
	d.dp.OnCall = func(_ context.Context, call fake.Call) error {
		w.pause()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.hanging && call.Kind == fake.CallApply {
			return errors.New("the data plane does not answer")
		}
		return nil
	}
	d.dp.OnOp = func(op dataplane.Op) dataplane.Result {
		w.op(op)
		return dataplane.Result{}
	}
}

// op checks I3 where it counts: a port set goes to another subscriber only after
// it was out of the data plane for the hold-down.
func (w *witness) op(op dataplane.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, now := op.Softwire.Key(), time.Now()
	last, used := w.held[key]
	switch {
	case op.Kind == dataplane.Remove:
		if used && last.gone.IsZero() {
			w.held[key] = passed{last.b4, now, last.life}
		}
		return
	case used && last.b4 == fixedB4 && last.life < w.crashes:
		// What the configuration removed shortly before a crash is not remembered.
	case used && last.b4 != op.Softwire.B4:
		w.takeovers++
		if last.gone.IsZero() || now.Sub(last.gone) < w.holdDown {
			w.Errorf("%s: put for %s at %s; it was %s's until %s", key, op.Softwire.B4, now, last.b4, last.gone)
		}
	}
	w.puts++
	w.held[key] = passed{b4: op.Softwire.B4, life: w.crashes}
}

// granted notes what a subscriber was told, and checks I1 among what all know.
func (w *witness) granted(q Request, l Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		// The answer is lost. If it was about another port set, the router does not
		// owe the subscriber the one before any more.
		if w.told[q.B4].Key() != l.Key() {
			delete(w.told, q.B4)
		}
		return
	}
	w.grants++
	w.told[q.B4] = l
	for b4, o := range w.told {
		if b4 != q.B4 && o.Softwire.IPv4 == l.Softwire.IPv4 && o.Softwire.PortSet.Overlaps(l.Softwire.PortSet) && o.Expires.After(time.Now()) {
			w.Errorf("%s was granted to %s and %s", l.Key(), b4, q.B4)
		}
	}
}

// asks notes that a subscriber does not rely on what it was told.
func (w *witness) asks(q Request, gaveUp bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.released, q.B4)
	if gaveUp {
		delete(w.told, q.B4)
	}
}

// act does something for a subscriber.
func (w *witness) act(d *deck, p *Provisioner, subscriber, what int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(w.n(5000))*time.Millisecond)
	defer cancel()
	q := request(subscriber)
	var err error
	var l Lease
	w.asks(q, what < 2)
	switch what {
	case 0, 1:
		if err = p.Release(ctx, q); err == nil {
			w.mu.Lock()
			w.released[q.B4] = !w.dead
			w.mu.Unlock()
		}
	case 2:
		w.mu.Lock()
		has, ok := w.told[q.B4]
		w.mu.Unlock()
		if !ok {
			return
		}
		if _, err = p.Move(ctx, has.Key(), Request{Pool: []string{"a", "b"}[w.n(2)]}); err == nil {
			// Both are there, until it asks again.
			if now := d.dp.Held(); now[has.Key()] != has.Softwire && has.Expires.After(time.Now()) {
				w.Errorf("%s was moved away before its subscriber knew", has.Softwire)
			}
		}
	case 3, 4, 5:
		if l, err = p.Renew(ctx, q); err == nil {
			w.granted(q, l)
		}
	default:
		if l, err = p.Acquire(ctx, q); err == nil {
			d.acknowledged(p, l)
			w.granted(q, l)
		}
	}
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed++
	}
}

// fixedB4 is the lwB4 of all softwires of the configuration.
var fixedB4 = netip.MustParseAddr("2001:db8:f::b4")

// configure takes softwires out of the configuration, and puts in one that may
// be on a lease, and then is refused.
func (w *witness) configure(d *deck) {
	var keep []softwire.Softwire
	for _, s := range d.static {
		if w.n(3) > 0 {
			keep = append(keep, s)
		}
	}
	def := d.pools[w.n(2)]
	set, err := portset.Of(0, 4, uint16(2+w.n(14)))
	if err != nil {
		w.Error(err)
		return
	}
	keep = append(keep, softwire.Softwire{IPv4: def.Prefixes[0].Addr(), PortSet: set, B4: fixedB4, BR: def.BR})
	next := softwire.NewTable()
	if next.Apply(softwire.Change{Put: keep}) != nil {
		return // it is there already
	}
	_, err = d.p.Configure(d.pools, next.Snapshot())
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		d.static = keep
		w.configured++
	case !errors.Is(err, ErrTaken):
		w.Error(err)
	}
}

// kept checks that nothing was lost that somebody was told (I2).
func (w *witness) kept(d *deck) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for b4, really := range w.released {
		for _, l := range d.p.Subscriber(b4) {
			if really && l.State == lease.Bound && !l.Moved {
				w.Errorf("%s released what it had, and has %+v", b4, l)
			}
		}
	}
	for b4, l := range w.told {
		if !l.Expires.After(now) {
			delete(w.told, b4)
			continue
		}
		has, ok := d.p.Lease(l.Key())
		if !ok || has.State != lease.Bound || has.Softwire != l.Softwire {
			w.Errorf("%s was told that it has %s until %s, and it is %+v", b4, l.Key(), l.Expires, has)
		}
		if got := d.dp.Held()[l.Key()]; got != l.Softwire {
			w.Errorf("%s has %s, and the data plane has %s", b4, l.Softwire, got)
		}
	}
}

// TestRandom does random things at once, with crashes in the middle of them, a
// disk that fails and a data plane that fails.
func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t)
		for i, prefix := range []string{"192.0.2.0/31", "198.51.100.0/31"} {
			d.pools[i].Prefixes = []netip.Prefix{netip.MustParsePrefix(prefix)}
		}
		w := &witness{
			T: t, rand: rand.New(rand.NewPCG(seed, 0)), holdDown: d.pools[0].HoldDown,
			held: make(map[softwire.Key]passed), told: make(map[netip.Addr]Lease), released: make(map[netip.Addr]bool),
		}
		w.attach(d)
		d.start()
		const subscribers = 130 // for 56 port sets
		for range 400 {
			var all sync.WaitGroup
			first := w.n(subscribers)
			for i := range 1 + w.n(12) {
				// Each a few times at once.
				what, p := w.n(10), d.p
				for range 1 + w.n(2)*w.n(3) {
					all.Go(func() { w.act(d, p, (first+i*7)%subscribers, what) })
				}
			}
			if w.n(6) == 0 {
				w.configure(d)
			}
			if w.n(8) == 0 {
				time.Sleep(time.Duration(w.n(40)) * time.Millisecond)
				w.mu.Lock()
				w.dead = true
				w.crashes++
				w.mu.Unlock()
				d.crash()
				all.Wait()
				w.mu.Lock()
				w.dead, w.failing, w.hanging = false, false, false
				w.mu.Unlock()
				w.attach(d)
				d.start()
				<-d.rec.Ready()
			}
			all.Wait()
			w.mu.Lock()
			w.failing, w.hanging = w.rand.IntN(10) == 0, w.rand.IntN(10) == 0
			well := !w.failing && !w.hanging
			w.mu.Unlock()
			time.Sleep(time.Duration(w.n(100)) * time.Second)
			if well && w.n(4) == 0 {
				time.Sleep(time.Minute) // for what failed to be tried again
				synctest.Wait()
				w.kept(d)
			}
		}
		d.stop()
		t.Logf("%d puts, %d to another subscriber, %d grants, %d refusals, %d crashes, %d configurations", w.puts, w.takeovers, w.grants, w.failed, w.crashes, w.configured)
		if w.takeovers < 100 || w.grants < 1000 || w.crashes < 20 || w.configured < 10 {
			t.Error("not much was tried")
		}
	})
}
