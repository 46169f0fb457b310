package provision

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		watch := d.p.Watch(10)
		defer watch.Close()
		from := d.acquire(request(1))
		to, err := d.p.Move(t.Context(), from.Key(), Request{Pool: "b"})
		if err != nil {
			t.Fatal(err)
		}
		d.acknowledged(d.p, to)
		if _, both := d.dp.Held()[from.Key()]; !both || to.Pool != "b" {
			t.Errorf("moved to %+v; the old one is still there: %t", to, both)
		}
		d.crash()
		d.start()
		if l := d.acquire(request(1)); l.Key() != to.Key() {
			t.Errorf("asked again and got %s", l.Key())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if _, still := d.dp.Held()[from.Key()]; still {
			t.Error("the old softwire stays though the subscriber knows of the new one")
		}

		back, err := d.p.Move(t.Context(), to.Key(), Request{Pool: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.p.Moved(to); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if held := d.dp.Held(); len(held) != 1 || held[back.Key()] != back.Softwire {
			t.Errorf("the data plane holds %v", held)
		}
		if err := d.p.Moved(to); !errors.Is(err, ErrUnknown) {
			t.Errorf("told twice: %v", err)
		}
	})
}

func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		q := request(7)
		q.Want = softwire.Key{IPv4: d.pools[1].Prefixes[0].Addr(), PortSet: d.acquire(request(1)).Softwire.PortSet}
		if _, err := d.p.Reserve(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		d.crash()
		d.start()
		other := request(8)
		other.Pool, other.Want = "b", q.Want
		if l := d.acquire(other); l.Key() == q.Want {
			t.Error("another one got what is reserved")
		}
		if l := d.acquire(request(7)); l.Key() != q.Want || !l.Reserved {
			t.Errorf("got %+v", l)
		}
		if l, err := d.p.Unreserve(t.Context(), q.Want); err != nil || l.State != lease.Bound {
			t.Errorf("%+v, %v", l, err)
		}
		if _, err := d.p.Unreserve(t.Context(), q.Want); !errors.Is(err, ErrUnknown) {
			t.Errorf("twice: %v", err)
		}
	})
}

// TestConfigure: softwires of the configuration come and go beside leases.
func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		l := d.acquire(request(1))
		fixed := l.Softwire
		fixed.IPv4 = d.pools[1].Prefixes[0].Addr()
		fixed.B4 = request(50).B4
		static := softwire.NewTable()
		if err := static.Apply(softwire.Change{Put: []softwire.Softwire{fixed}}); err != nil {
			t.Fatal(err)
		}
		if c, err := d.p.Configure(d.pools, static.Snapshot()); err != nil || len(c.Put) != 1 {
			t.Fatalf("%+v, %v", c, err)
		}
		synctest.Wait()
		if len(d.dp.Held()) != 2 {
			t.Errorf("the data plane holds %v", d.dp.Held())
		}
		if _, err := d.p.Acquire(t.Context(), request(50)); !errors.Is(err, ErrMechanism) {
			t.Errorf("the holder of a static softwire asks: %v", err)
		}
		var held *HeldError
		if _, err := d.p.Offer(request(50)); !errors.As(err, &held) || held.Lease.Softwire != fixed {
			t.Errorf("offered %v", err)
		}

		clash := softwire.NewTable()
		taken := l.Softwire
		taken.B4 = request(51).B4
		if err := clash.Apply(softwire.Change{Put: []softwire.Softwire{taken}}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.p.Configure(d.pools, clash.Snapshot()); !errors.Is(err, ErrTaken) {
			t.Errorf("a static softwire on a lease: %v", err)
		}
		if _, err := d.p.Configure(d.pools[1:], static.Snapshot()); !errors.Is(err, ErrPool) {
			t.Errorf("a lease without a pool: %v", err)
		}
		// The lwB4 of a lease as BR address is refused by the table.
		bad := fixed
		bad.BR = l.Softwire.B4
		if err := clash.Apply(softwire.Change{Remove: []softwire.Key{taken.Key()}, Put: []softwire.Softwire{bad}}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.p.Configure(d.pools, clash.Snapshot()); !errors.Is(err, softwire.ErrConflict) {
			t.Errorf("a lwB4 as BR address: %v", err)
		}
		if held := d.dp.Held(); len(held) != 2 || held[fixed.Key()] != fixed {
			t.Errorf("refused changes changed something: %v", held)
		}

		if _, err := d.p.Configure(d.pools, softwire.NewTable().Snapshot()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if left, _ := d.p.Lease(fixed.Key()); left.State != lease.Resting || !left.Held(time.Now()) || len(d.dp.Held()) != 1 {
			t.Errorf("removed from the configuration: %+v", left)
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		l := d.acquire(request(1))
		if err := d.p.Drain(t.Context(), "a", true); err != nil {
			t.Fatal(err)
		}
		if err := d.p.Drain(t.Context(), "x", true); !errors.Is(err, ErrPool) {
			t.Errorf("unknown pool: %v", err)
		}
		d.crash()
		d.start()
		if other := d.acquire(request(2)); other.Pool != "b" {
			t.Errorf("a drained pool gave %s", other.Key())
		}
		time.Sleep(5 * time.Minute)
		again := d.acquire(request(1))
		if again.Key() != l.Key() || again.Expires.After(l.Horizon) {
			t.Errorf("%s was extended from %s to %s", again.Key(), l.Horizon, again.Expires)
		}
		time.Sleep(time.Until(again.Expires))
		if moved := d.acquire(request(1)); moved.Pool != "b" {
			t.Errorf("after its end it got %s", moved.Key())
		}
	})
}

// TestClock: what the store knows to have happened is not in the future.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t).start()
		l := d.acquire(request(1))
		d.crash()
		d.skew = -30 * 24 * time.Hour
		d.start()
		if again := d.acquire(request(1)); again.Expires.Before(l.Expires) {
			t.Errorf("the clock went back: %s, then %s", l.Expires, again.Expires)
		}
		if problems := d.p.Stats().Problems(); len(problems) != 1 || !strings.Contains(problems[0], "behind") {
			t.Errorf("problems %q", problems)
		}
		d.crash()
		d.skew = 2 * 365 * 24 * time.Hour
		if err := d.tryStart(); err == nil || !strings.Contains(err.Error(), "too far ahead") {
			t.Errorf("two years later: %v", err)
		}
	})
}
