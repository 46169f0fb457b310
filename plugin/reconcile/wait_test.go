package reconcile

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// busy makes a data plane answer Retryable until it is set to false.
func busy(dp *fake.Dataplane) *atomic.Bool {
	on := new(atomic.Bool)
	on.Store(true)
	dp.OnOp = func(dataplane.Op) dataplane.Result {
		if on.Load() {
			return dataplane.Result{Outcome: dataplane.Retryable, Err: errBusy}
		}
		return dataplane.Result{}
	}
	return on
}

var errBusy = errors.New("busy")

func TestWait(t *testing.T) {
	a, b := sw(1, 0, 6, 1, 1), sw(1, 0, 6, 2, 2)
	t.Run("what is there already", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			n := newBench(t, fake.New(), a)
			n.settle()
			if err := n.r.Wait(t.Context(), a.Key(), b.Key()); err != nil {
				t.Error(err)
			}
			if err := n.r.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("before the first sync", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			n := newBench(t, fake.New(), a, b)
			if err := n.r.Wait(t.Context(), a.Key(), b.Key()); err != nil {
				t.Error(err)
			}
			n.holds(a, b)
		})
	})
	t.Run("put and remove", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			n := newBench(t, fake.New(), a)
			if err := n.r.Apply(t.Context(), softwire.Change{Remove: []softwire.Key{a.Key()}, Put: []softwire.Softwire{b}}); err != nil {
				t.Error(err)
			}
			if n.r.Holds(a) || !n.r.Holds(b) {
				t.Errorf("Holds: %t and %t, want the second only", n.r.Holds(a), n.r.Holds(b))
			}
			n.holds(b)
		})
	})
	t.Run("refused by the table", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			n := newBench(t, fake.New(), a)
			err := n.r.Apply(t.Context(), softwire.Change{Put: []softwire.Softwire{b, sw(1, 0, 5, 0, 3)}})
			var wait *WaitError
			if !errors.Is(err, softwire.ErrConflict) || errors.As(err, &wait) {
				t.Errorf("error %v, want the table's", err)
			}
			n.settle()
			n.holds(a)
		})
	})
	t.Run("deadline", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			dp := fake.New()
			on := busy(dp)
			n := newBench(t, dp)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			err := n.r.Apply(ctx, softwire.Change{Put: []softwire.Softwire{a, b}})
			var wait *WaitError
			if !errors.As(err, &wait) || len(wait.Keys) != 2 || wait.Keys[0].Key != a.Key() {
				t.Fatalf("error %v", err)
			}
			if !errors.Is(err, ErrPending) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errBusy) {
				t.Errorf("error %v: want pending, the deadline, and the data plane's reason", err)
			}
			// It goes on being tried, and asking again waits for the same.
			on.Store(false)
			if err := n.r.Wait(t.Context(), a.Key(), b.Key()); err != nil {
				t.Error(err)
			}
			n.holds(a, b)
			if len(n.r.state.waiters.byKey) != 0 || len(n.r.state.waiters.fresh) != 0 {
				t.Error("waiters are left behind")
			}
		})
	})
	t.Run("superseded", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			dp := fake.New()
			on := busy(dp)
			n := newBench(t, dp)
			result := make(chan error)
			go func() { result <- n.r.Apply(t.Context(), softwire.Change{Put: []softwire.Softwire{a, b}}) }()
			synctest.Wait()
			n.change(softwire.Change{Remove: []softwire.Key{a.Key()}})
			synctest.Wait()
			on.Store(false)
			err := <-result
			var wait *WaitError
			if !errors.As(err, &wait) || len(wait.Keys) != 1 || wait.Keys[0].Key != a.Key() || !errors.Is(err, ErrSuperseded) {
				t.Errorf("error %v, want a superseded and b programmed", err)
			}
			n.holds(b)
		})
	})
	t.Run("unsupported", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			dp := fake.New()
			cannot := errors.New("cannot")
			dp.OnOp = func(op dataplane.Op) dataplane.Result {
				if op.Kind == dataplane.Put && op.Softwire.B4 == b.B4 {
					return dataplane.Result{Outcome: dataplane.Unsupported, Err: cannot}
				}
				return dataplane.Result{}
			}
			n := newBench(t, dp)
			if err := n.r.Apply(t.Context(), softwire.Change{Put: []softwire.Softwire{a, b}}); !errors.Is(err, ErrUnsupported) || !errors.Is(err, cannot) {
				t.Errorf("error %v", err)
			}
			n.holds(a)
			// A refused move must not leave the ports with the old lwB4.
			moved := a
			moved.B4 = b.B4
			if err := n.r.Apply(t.Context(), softwire.Change{Put: []softwire.Softwire{moved}}); !errors.Is(err, ErrUnsupported) {
				t.Errorf("error %v", err)
			}
			n.holds()
		})
	})
	t.Run("unreachable", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			dp := fake.New()
			dp.Disconnect("no socket")
			n := newBench(t, dp, a)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := n.r.Wait(ctx, a.Key())
			if !errors.Is(err, ErrPending) {
				t.Errorf("error %v", err)
			}
			if want := "softwire 192.0.2.1 psid 0/6/1: not programmed yet: the data plane is down: no socket: context deadline exceeded"; err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
			dp.Reconnect()
			if err := n.r.Wait(t.Context(), a.Key()); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("withheld", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			dp := fake.New()
			dp.Plant(a)
			n := newBench(t, dp)
			result := make(chan error, 1)
			go func() { result <- n.r.Wait(t.Context(), a.Key()) }()
			n.later(time.Minute)
			select {
			case err := <-result:
				t.Errorf("not held any more, says Wait (%v), but it is", err)
			default:
			}
			n.r.Complete()
			if err := <-result; err != nil {
				t.Error(err)
			}
			n.holds()
		})
	})
}

// TestWaitIsPrompt: a change is not queued behind the load of a large table.
func TestWaitIsPrompt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dp := fake.New()
		dp.OnCall = func(ctx context.Context, call fake.Call) error {
			if call.Kind == fake.CallApply {
				sleep(ctx, time.Second)
			}
			return ctx.Err()
		}
		var load []softwire.Softwire
		for host := range byte(200) {
			for psid := range uint16(64) {
				load = append(load, sw(host+1, 0, 6, psid, uint16(host)*64+psid+1))
			}
		}
		n := newBench(t, dp, load...)
		n.later(1500 * time.Millisecond)
		began := time.Now()
		if err := n.r.Apply(t.Context(), softwire.Change{Put: []softwire.Softwire{sw(250, 0, 0, 0, 60000)}}); err != nil {
			t.Fatal(err)
		}
		st := n.r.Stats()
		if took := time.Since(began); took > 3*time.Second || st.Programmed == st.Desired {
			t.Errorf("waited %s for one change, with %d of %d programmed", took, st.Programmed, st.Desired)
		}
		if st.Pending == 0 || !st.Syncing || st.Lag == 0 {
			t.Errorf("stats in the midst of a load %+v", st)
		}
		if st := n.later(time.Minute); st.Programmed != len(load)+1 {
			t.Errorf("%d programmed, want %d", st.Programmed, len(load)+1)
		}
	})
}
