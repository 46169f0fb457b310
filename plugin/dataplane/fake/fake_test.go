package fake

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func binding(t *testing.T, ip string, a, k uint8, psid uint16) softwire.Softwire {
	t.Helper()
	set, err := portset.Of(a, k, psid)
	if err != nil {
		t.Fatal(err)
	}
	return softwire.Softwire{
		IPv4: netip.MustParseAddr(ip), PortSet: set,
		B4: netip.MustParseAddr("2001:db8::4"), BR: netip.MustParseAddr("2001:db8::1"),
	}
}

func put(sw softwire.Softwire) dataplane.Op {
	return dataplane.Op{Kind: dataplane.Put, Softwire: sw}
}

func remove(sw softwire.Softwire) dataplane.Op {
	return dataplane.Op{Kind: dataplane.Remove, Softwire: softwire.Softwire{IPv4: sw.IPv4, PortSet: sw.PortSet}}
}

// apply requires the outcomes want of one batch.
func apply(t *testing.T, d *Dataplane, ops []dataplane.Op, want ...dataplane.Outcome) {
	t.Helper()
	results, err := d.Apply(t.Context(), ops)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(want) {
		t.Fatalf("%d results, want %d", len(results), len(want))
	}
	for i, r := range results {
		if r.Outcome != want[i] || (r.Err == nil) != (r.Outcome == dataplane.Programmed) {
			t.Errorf("op %d: %s, error %v, want %s", i, r.Outcome, r.Err, want[i])
		}
	}
}

func configured(t *testing.T) *Dataplane {
	t.Helper()
	d := New()
	if err := d.Configure(t.Context(), dataplane.Network{}); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestApplyKeepsTheContract(t *testing.T) {
	d := New()
	sw := binding(t, "192.0.2.1", 0, 6, 5)
	overlapping := binding(t, "192.0.2.1", 0, 5, 2)
	beside := binding(t, "192.0.2.1", 0, 5, 3)
	moved := sw
	moved.B4 = netip.MustParseAddr("2001:db8::5")

	apply(t, d, []dataplane.Op{put(sw)}, dataplane.Retryable) // not configured
	if err := d.Configure(t.Context(), dataplane.Network{}); err != nil {
		t.Fatal(err)
	}
	apply(t, d, []dataplane.Op{put(sw), put(sw), put(overlapping), put(beside), put(moved)},
		dataplane.Programmed, dataplane.Programmed, dataplane.Retryable, dataplane.Programmed, dataplane.Programmed)
	apply(t, d, []dataplane.Op{{Kind: dataplane.Put}}, dataplane.Unsupported)
	if held := d.Held(); len(held) != 2 || held[sw.Key()] != moved {
		t.Errorf("holds %v", held)
	}
	apply(t, d, []dataplane.Op{remove(sw), remove(sw), put(overlapping)},
		dataplane.Programmed, dataplane.Programmed, dataplane.Programmed)
	read := 0
	for _, err := range d.Softwires(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		read++
	}
	if read != 2 {
		t.Errorf("read back %d softwires, want 2", read)
	}
}

func TestInjectedFailures(t *testing.T) {
	sw, other := binding(t, "192.0.2.1", 0, 6, 5), binding(t, "192.0.2.1", 0, 6, 6)
	lost := errors.New("connection lost")
	t.Run("op", func(t *testing.T) {
		d := configured(t)
		d.OnOp = func(op dataplane.Op) dataplane.Result {
			if op.Softwire == other {
				return dataplane.Result{Outcome: dataplane.Unsupported, Err: lost}
			}
			return dataplane.Result{}
		}
		apply(t, d, []dataplane.Op{put(other), put(sw)}, dataplane.Unsupported, dataplane.Programmed)
	})
	t.Run("call", func(t *testing.T) {
		d := configured(t)
		d.OnCall = func(context.Context, Call) error { return lost }
		if _, err := d.Apply(t.Context(), []dataplane.Op{put(sw)}); !errors.Is(err, lost) {
			t.Errorf("error %v", err)
		}
		if len(d.Held()) != 0 {
			t.Error("a failed call was executed")
		}
	})
	t.Run("half a batch", func(t *testing.T) {
		d := configured(t)
		d.OnApplied = func([]dataplane.Op) error { return lost }
		d.Partial = func([]dataplane.Op) int { return 1 }
		if _, err := d.Apply(t.Context(), []dataplane.Op{put(sw), put(other)}); !errors.Is(err, lost) {
			t.Errorf("error %v", err)
		}
		if held := d.Held(); len(held) != 1 || held[sw.Key()] != sw {
			t.Errorf("holds %v, want the first op only", held)
		}
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := configured(t)
		up, err := d.WaitHealth(t.Context(), dataplane.Health{})
		if err != nil || up.State != dataplane.StateUp || up.Incarnation != 1 {
			t.Fatalf("%+v, %v", up, err)
		}
		apply(t, d, []dataplane.Op{put(binding(t, "192.0.2.1", 0, 0, 0))}, dataplane.Programmed)

		news := make(chan dataplane.Health)
		go func() {
			h, _ := d.WaitHealth(t.Context(), up)
			news <- h
		}()
		synctest.Wait()
		d.Lose()
		lost := <-news
		if lost.State != dataplane.StateUp || lost.Incarnation == up.Incarnation {
			t.Errorf("after the loss %+v", lost)
		}
		if _, ok := d.Network(); ok || len(d.Held()) != 0 {
			t.Error("a lost data plane remembers")
		}
		d.Disconnect("gone")
		if _, err := d.Apply(t.Context(), nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("unreachable: %v", err)
		}
		d.Reconnect()
		if h, _ := d.WaitHealth(t.Context(), dataplane.Health{}); !h.Same(lost) {
			t.Errorf("reconnected as %+v, want %+v", h, lost)
		}
		d.SetState(dataplane.StateDown, "no link")
		if h, _ := d.WaitHealth(t.Context(), lost); h.State != dataplane.StateDown || h.Incarnation != lost.Incarnation {
			t.Errorf("down: %+v", h)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		h, _ := d.WaitHealth(t.Context(), dataplane.Health{})
		if _, err := d.WaitHealth(ctx, h); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestExceptionsAreBounded(t *testing.T) {
	d := New()
	sent := 0
	for d.Divert(dataplane.Exception{Packet: []byte{1}}) {
		sent++
	}
	into := make([]dataplane.Exception, sent+1)
	if n, err := d.Exceptions(t.Context(), into); err != nil || n != sent || n != exceptionLimit {
		t.Errorf("%d exceptions, %v, want %d", n, err, exceptionLimit)
	}
	if err := d.Inject(t.Context(), dataplane.SideIPv6, []byte{6}); err != nil {
		t.Fatal(err)
	}
	if got := d.Injected(); len(got) != 1 || got[0].Side != dataplane.SideIPv6 {
		t.Errorf("injected %v", got)
	}
}

func TestRecord(t *testing.T) {
	d := configured(t)
	sw := binding(t, "192.0.2.1", 0, 6, 5)
	d.Plant(sw)
	d.Pluck(sw.Key())
	apply(t, d, []dataplane.Op{put(sw), remove(sw)}, dataplane.Programmed, dataplane.Programmed)
	var kinds []dataplane.OpKind
	for op := range d.Ops() {
		kinds = append(kinds, op.Kind)
	}
	if len(kinds) != 2 || kinds[0] != dataplane.Put || kinds[1] != dataplane.Remove {
		t.Errorf("recorded %v", kinds)
	}
	d.Forget()
	if len(d.Calls()) != 0 {
		t.Error("calls survive Forget")
	}
}
