package provision

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

func (d *deck) did(want ...string) {
	d.Helper()
	if diff := cmp.Diff(want, d.record.take()); diff != "" {
		d.Errorf("-want +done:\n%s", diff)
	}
}

// TestOrder: durable, programmed, granted; out of the data plane, at rest,
// released.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		l := d.acquire(request(1))
		d.did("durable bound 192.0.2.0 psid 0/4/2", "put 192.0.2.0 psid 0/4/2")
		again := d.acquire(request(1))
		d.did()
		if again != l {
			t.Errorf("asked twice: %+v, then %+v", l, again)
		}
		for range 2 { // the second time it is released already
			if err := d.p.Release(t.Context(), request(1)); err != nil {
				t.Fatal(err)
			}
		}
		d.did("remove 192.0.2.0 psid 0/4/2", "durable resting 192.0.2.0 psid 0/4/2")
		// What rests is the subscriber's at once, and others get something else.
		if other := d.acquire(request(2)); other.Key() == l.Key() {
			t.Errorf("%s is given away during its hold-down", l.Key())
		}
		if back := d.acquire(request(1)); back.Key() != l.Key() {
			t.Errorf("got %s back, had %s", back.Key(), l.Key())
		}
		if err := d.p.Release(t.Context(), request(3)); !errors.Is(err, ErrUnknown) {
			t.Errorf("released what was never there: %v", err)
		}
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		watch := d.p.Watch(10)
		defer watch.Close()
		synctest.Wait() // nothing has to end for a long time
		l := d.acquire(request(1))
		d.record.take()
		time.Sleep(time.Until(l.Expires) - time.Second)
		if !d.table.Snapshot().Address(l.Softwire.IPv4.As4()) {
			t.Error("it went too early")
		}
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		d.did("remove 192.0.2.0 psid 0/4/2", "durable resting 192.0.2.0 psid 0/4/2")
		for _, want := range []history.Kind{history.Allocated, history.Expired} {
			if n := <-watch.Notices(); n.Kind != want || n.Lease.Key() != l.Key() {
				t.Errorf("notice %+v, want %s", n, want)
			}
		}
		if s := d.p.Stats(); s.Totals.Granted != 1 || s.Totals.Expired != 1 || s.Pools[0].Resting != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestDeadline: a data plane that does not answer leaves the lease pending, and
// the same request gets it later.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		synctest.Wait()
		hold := make(chan struct{})
		d.record.set(func(r *record) { r.hangApply = hold })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.p.Acquire(ctx, request(1)); !errors.Is(err, ErrNotProgrammed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the data plane hangs: %v", err)
		}
		if _, err := d.p.Renew(ctx, request(1)); !errors.Is(err, ErrNotProgrammed) {
			t.Fatalf("renewed what was never granted: %v", err)
		}
		pending, ok := d.p.Lease(d.p.Subscriber(request(1).B4)[0].Key())
		if !ok || pending.State != lease.Bound {
			t.Fatalf("%+v is not kept", pending)
		}
		close(hold)
		if l := d.acquire(request(1)); l.Key() != pending.Key() {
			t.Errorf("got %s, and %s was pending", l.Key(), pending.Key())
		}
	})
}

// TestStorageFails: nothing is granted, and what is known goes on up to its
// horizon.
func TestStorageFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		l := d.acquire(request(1))
		d.record.set(func(r *record) { r.failCommit = store.ErrStorage })
		if _, err := d.p.Acquire(t.Context(), request(2)); !errors.Is(err, ErrStorage) {
			t.Errorf("granted without a store: %v", err)
		}
		if n := d.table.Snapshot().Len(); n != 1 {
			t.Errorf("%d softwires in the table", n)
		}
		if all := d.p.Subscriber(request(2).B4); len(all) != 0 {
			t.Errorf("%v is left of it", all)
		}
		if problems := d.p.Stats().Problems(); len(problems) != 1 || !strings.Contains(problems[0], "no leases are granted") {
			t.Errorf("problems %q", problems)
		}
		time.Sleep(5 * time.Minute)
		renewed, err := d.p.Renew(t.Context(), request(1))
		if err != nil || !renewed.Expires.Equal(l.Expires.Add(5*time.Minute)) {
			t.Errorf("renewed until %s, %v", renewed.Expires, err)
		}
		time.Sleep(7 * time.Minute)
		renewed, err = d.p.Renew(t.Context(), request(1))
		if err != nil || !renewed.Expires.Equal(l.Horizon) {
			t.Errorf("renewed until %s, %v; the horizon is %s", renewed.Expires, err, l.Horizon)
		}
		// It ends, as far as that is possible, and stays nobody else's.
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(d.dp.Held()) != 0 || d.p.Stats().Ending != 1 {
			t.Errorf("after its end: %v, %+v", d.dp.Held(), d.p.Stats())
		}
		d.record.set(func(r *record) { r.failCommit = nil })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if stored, _ := d.stored(d.p, l.Key()); stored.State != lease.Resting || !stored.Until.After(time.Now()) {
			t.Errorf("the hold-down is not durable: %+v", stored)
		}

		// That it works again shows without a request.
		d.record.set(func(r *record) { r.failCommit = store.ErrStorage })
		if _, err := d.p.Acquire(t.Context(), request(2)); !errors.Is(err, ErrStorage) {
			t.Errorf("granted without a store: %v", err)
		}
		d.record.set(func(r *record) { r.failCommit = nil })
		time.Sleep(2 * time.Second)
		if problems := d.p.Stats().Problems(); len(problems) != 0 {
			t.Errorf("problems %q", problems)
		}
	})
}

// TestInDoubt: a commit whose outcome is not known keeps the port set, and the
// same request goes on with it.
func TestInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		d.record.set(func(r *record) { r.failCommit = store.ErrInDoubt })
		if _, err := d.p.Acquire(t.Context(), request(1)); !errors.Is(err, ErrNotProgrammed) {
			t.Fatalf("in doubt: %v", err)
		}
		had := d.p.Subscriber(request(1).B4)[0]
		d.record.set(func(r *record) { r.failCommit = nil })
		if other := d.acquire(request(2)); other.Key() == had.Key() {
			t.Error("another one got it")
		}
		if l := d.acquire(request(1)); l.Key() != had.Key() {
			t.Errorf("got %s, want %s", l.Key(), had.Key())
		}
	})
}

// TestAlong: something else becomes durable with the lease, and only with it, and
// its owner is told of that.
func TestAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		var told []error
		along := func(l Lease) ([]store.Value, func(error)) {
			v := store.Value{Collection: "test", Key: l.Key().String(), Data: []byte(l.Softwire.B4.String())}
			return []store.Value{v}, func(err error) { told = append(told, err) }
		}
		beside := func() (n int) {
			for _, err := range d.store.Values(t.Context(), "test") {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			return n
		}
		for _, fails := range []error{store.ErrStorage, store.ErrInDoubt} {
			d.record.set(func(r *record) { r.failCommit = fails })
			if _, err := d.p.AcquireAlong(t.Context(), request(1), along); err == nil || len(told) != 1 || !errors.Is(told[0], fails) || beside() != 0 {
				t.Errorf("%v: got %v, told %v, %d beside", fails, err, told, beside())
			}
			told = nil
		}
		d.record.set(func(r *record) { r.failCommit = nil })
		time.Sleep(2 * time.Second) // Run finds out by itself that the store works
		synctest.Wait()
		batches := d.store.Stats().Batches
		l, err := d.p.AcquireAlong(t.Context(), request(1), along)
		if err != nil || len(told) != 1 || told[0] != nil || beside() != 1 || d.store.Stats().Batches != batches+1 {
			t.Errorf("got %v, told %v, %d beside, %d batches", err, told, beside(), d.store.Stats().Batches-batches)
		}
		d.acknowledged(d.p, l)
		told = nil
		if _, err := d.p.AcquireAlong(t.Context(), request(1), along); err != nil || len(told) != 0 {
			t.Errorf("nothing of the lease had to be written: %v, told %v", err, told)
		}
		time.Sleep(8 * time.Minute)
		if _, err := d.p.AcquireAlong(t.Context(), request(1), along); err != nil || len(told) != 0 {
			t.Errorf("within the horizon: %v, told %v", err, told)
		}
		time.Sleep(8 * time.Minute)
		longer, err := d.p.AcquireAlong(t.Context(), request(1), along)
		if err != nil || len(told) != 1 || told[0] != nil || !longer.Expires.After(l.Horizon) {
			t.Errorf("until %s, horizon %s: %v, told %v", longer.Expires, l.Horizon, err, told)
		}
	})
}

// TestDuplicates: the same request many times at once is one grant.
func TestDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				if l := d.acquire(request(1)); l.Key().String() != "192.0.2.0 psid 0/4/2" {
					t.Errorf("got %s", l.Key())
				}
			})
		}
		all.Wait()
		d.did("durable bound 192.0.2.0 psid 0/4/2", "put 192.0.2.0 psid 0/4/2")
	})
}

// TestExhausted: refused, counted, and logged once a minute.
func TestExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t)
		d.pools = d.pools[:1]
		d.start()
		granted := 0
		for i := range 60 {
			l, err := d.p.Acquire(t.Context(), request(i))
			if err == nil {
				d.acknowledged(d.p, l)
				granted++
			} else if !errors.Is(err, ErrExhausted) {
				t.Fatal(err)
			}
		}
		lines := func() (n int) {
			for _, e := range d.log.AllEntries() {
				if strings.Contains(e.Message, "requests are refused") && e.Level == logrus.WarnLevel {
					n++
				}
			}
			return n
		}
		// 4 addresses of 16, without the PSIDs of ports 0-1023 and 5350-5351.
		asked := d.p.Stats().Requests[index(request(0).Mechanism)]
		if granted != 56 || asked.Results[Granted] != 56 || asked.Results[Exhausted] != 4 || asked.Time.Count != 60 || lines() != 1 {
			t.Errorf("%d granted, counted %+v, %d lines", granted, asked, lines())
		}
		time.Sleep(time.Minute)
		_, err := d.p.Acquire(t.Context(), request(99))
		if !errors.Is(err, ErrExhausted) || lines() != 2 {
			t.Errorf("%v, %d lines", err, lines())
		}
	})
}

// TestChangedB4: a subscriber with another tunnel address has it programmed
// before it is told so.
func TestChangedB4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		l := d.acquire(request(1))
		q := request(1)
		q.B4 = q.B4.Next()
		changed := d.acquire(q)
		if changed.Key() != l.Key() || changed.Softwire.B4 != q.B4 {
			t.Errorf("%+v", changed)
		}
		q.B4 = d.pools[0].BR
		q.Subscriber = request(1).B4
		if _, err := d.p.Acquire(t.Context(), q); !errors.Is(err, ErrInvalid) {
			t.Errorf("a BR address as lwB4: %v", err)
		}
		if now, _ := d.p.Lease(l.Key()); now != changed {
			t.Errorf("after the refusal %+v, before it %+v", now, changed)
		}
	})
}

// TestExtend: what is there is extended at once; everything else is left to
// Acquire.
func TestExtend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		refused := func(what string, q Request) {
			if l, ok := d.p.Extend(q); ok {
				t.Errorf("%s: extended %+v", what, l)
			}
		}
		refused("nothing there", request(1))
		if all := d.p.Subscriber(request(1).B4); len(all) != 0 {
			t.Errorf("and yet there is %+v", all)
		}
		l := d.acquire(request(1))
		d.did("durable bound 192.0.2.0 psid 0/4/2", "put 192.0.2.0 psid 0/4/2")
		time.Sleep(5 * time.Minute)
		if again, ok := d.p.Extend(request(1)); !ok || again.Key() != l.Key() || again.Expires.Sub(l.Expires) != 5*time.Minute {
			t.Errorf("%+v, %v, was %+v", again, ok, l)
		}
		moved := request(1)
		moved.B4 = moved.B4.Next()
		refused("another lwB4", moved)
		if now, _ := d.p.Lease(l.Key()); now.Softwire != l.Softwire {
			t.Errorf("and yet it is %+v", now)
		}
		long := request(1)
		long.Lifetime = time.Hour
		refused("beyond what is durable", long)
		d.record.set(func(r *record) { r.retryOps = errors.New("not now") })
		d.dp.Lose()
		synctest.Wait()
		refused("not programmed", request(1))
		d.record.take()
	})
}

// TestRecovery: after a crash the data plane has what is durable, and only that.
func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		kept, lost, released := d.acquire(request(1)), d.acquire(request(2)), d.acquire(request(3))
		if err := d.p.Release(t.Context(), request(3)); err != nil {
			t.Fatal(err)
		}
		d.crash()
		d.dp.Pluck(lost.Key())
		stray := lost.Softwire
		stray.IPv4 = stray.IPv4.Next()
		d.dp.Plant(stray)
		d.start()
		for i, want := range []Lease{kept, lost} {
			if got := d.acquire(request(i + 1)); got.Softwire != want.Softwire {
				t.Errorf("subscriber %d got %s, had %s", i+1, got.Softwire, want.Softwire)
			}
		}
		synctest.Wait()
		if held := d.dp.Held(); len(held) != 2 {
			t.Errorf("the data plane holds %v", held)
		}
		if l, ok := d.p.Lease(released.Key()); !ok || l.State != lease.Resting || !l.Held(time.Now()) {
			t.Errorf("the hold-down was forgotten: %+v", l)
		}
	})
}

// TestBecomesStatic: a lease whose subscriber gets it by the configuration stays
// as the configuration says, also after a restart.
func TestBecomesStatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		fixed := d.acquire(request(1)).Softwire
		fixed.B4 = fixed.B4.Next()
		static := softwire.NewTable()
		if err := static.Apply(softwire.Change{Put: []softwire.Softwire{fixed}}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.p.Configure(d.pools, static.Snapshot()); err != nil {
			t.Fatal(err)
		}
		d.crash()
		d.static = []softwire.Softwire{fixed}
		d.start()
		synctest.Wait()
		if held := d.dp.Held(); len(held) != 1 || held[fixed.Key()] != fixed {
			t.Errorf("the data plane holds %v", held)
		}
		if l, _ := d.p.Lease(fixed.Key()); !l.Configured {
			t.Errorf("%+v", l)
		}
	})
}

// TestWatchLags: who does not read is cut off.
func TestWatchLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		watch := d.p.Watch(1)
		defer watch.Close()
		d.acquire(request(1))
		d.acquire(request(2))
		n := 0
		for range watch.Notices() {
			n++
		}
		if n != 1 {
			t.Errorf("%d notices", n)
		}
	})
}

// TestUnsupported: a softwire that the data plane refuses is never granted.
func TestUnsupported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		d.record.set(func(r *record) { r.refuseOps = errors.New("no") })
		for range 2 {
			if _, err := d.p.Acquire(t.Context(), request(1)); !errors.Is(err, ErrNotProgrammed) {
				t.Errorf("granted: %v", err)
			}
		}
	})
}

// TestHeldAgain: a lease of an earlier run is granted when the data plane has it,
// not when everything else is there; it is renewed all the same.
func TestHeldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		l := d.acquire(request(1))
		d.crash()
		d.dp.Lose()
		d.record.set(func(r *record) { r.retryOps = errors.New("not now") })
		d.start()
		<-d.rec.Ready()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := d.p.Acquire(ctx, request(1)); !errors.Is(err, ErrNotProgrammed) {
			t.Errorf("granted %+v, %v, while the data plane has nothing", got, err)
		}
		if _, err := d.p.Renew(t.Context(), request(1)); err != nil {
			t.Errorf("not renewed: %v", err)
		}
		d.record.set(func(r *record) { r.retryOps = nil })
		time.Sleep(time.Minute)
		if again := d.acquire(request(1)); again.Key() != l.Key() {
			t.Errorf("had %s, got %s", l.Key(), again.Key())
		}
	})
}
