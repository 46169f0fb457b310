package announce

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// What pool a of the lab has.
const (
	route4 = "192.0.2.0/24"
	route6 = "2001:db8:ffff::1/128"
	both   = "[" + route4 + " " + route6 + "]"
)

// bubble runs f with virtual time.
func bubble(t *testing.T, f func(l *lab)) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		f(l)
		if l.stop != nil {
			l.stop()
		}
	})
}

// TestLossAndReturn: routes come when everything is verified, go at once, come
// back after a look at the data plane and a growing pause, and the third time not
// without an operator.
func TestLossAndReturn(t *testing.T) {
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		for i, pause := range []time.Duration{10 * time.Second, 20 * time.Second} {
			time.Sleep(time.Second)
			before := time.Now()
			l.dp.SetState(dataplane.StateDown, "no link")
			l.is(Withdrawn, "no link")
			if waited := l.out.times[0].Sub(before); waited > followPause {
				t.Errorf("loss %d: withdrawn after %s", i, waited)
			}
			l.told("[]")
			time.Sleep(time.Minute)
			l.dp.Forget()
			l.dp.SetState(dataplane.StateUp, "")
			l.told()
			l.is(HoldDown, "no link")
			if len(l.dp.Calls()) == 0 {
				t.Error("the data plane was not read back")
			}
			time.Sleep(pause - time.Second)
			l.told()
			time.Sleep(time.Second)
			l.told(both)
		}
		l.dp.SetState(dataplane.StateDown, "no link")
		time.Sleep(time.Second)
		l.dp.SetState(dataplane.StateUp, "")
		time.Sleep(24 * time.Hour)
		l.told("[]")
		l.is(Held, "2 times")
		l.alarms(AlarmHeld)
		if err := l.gate.Release(nil); err != nil {
			t.Error(err)
		}
		l.told(both)
		if p := l.gate.Stats().Pools[0]; p.Withdrawals != 3 || p.Holds != 1 {
			t.Errorf("%d withdrawals and %d holds", p.Withdrawals, p.Holds)
		}
	})
}

// TestLostSoftwires: a data plane that is up again, but empty, gets nothing.
func TestLostSoftwires(t *testing.T) {
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		l.dp.Lose()
		l.told("[]")
		l.is(HoldDown, "")
		time.Sleep(10 * time.Second)
		l.told(both)
	})
}

// TestRefused: a softwire that the data plane refuses keeps a new pool away, and
// takes none away that is there.
func TestRefused(t *testing.T) {
	refuse := func(op dataplane.Op) dataplane.Result {
		if op.Kind == dataplane.Put && op.Softwire.PortSet.PSID() == 9 {
			return dataplane.Result{Outcome: dataplane.Unsupported, Err: errors.New("not this one")}
		}
		return dataplane.Result{}
	}
	bubble(t, func(l *lab) {
		l.dp.OnOp = refuse
		l.start(10)
		time.Sleep(time.Hour)
		l.ends("[]")
		l.is(Waiting, "1 of 10")
	})
	bubble(t, func(l *lab) {
		l.dp.OnOp = refuse
		l.start(9)
		l.ends(both)
		l.bind(30)
		time.Sleep(time.Hour)
		l.told()
		l.is(Announced, "")
		l.alarms(AlarmUnprogrammed)
		// Another aggregate of the same is not a first time.
		l.config.Aggregates = []netip.Prefix{netip.MustParsePrefix("2001:db8:ffff::/48")}
		l.gate.Configure(l.pools, l.routes())
		l.ends("[" + route4 + " 2001:db8:ffff::/48]")
	})
}

// TestMissing: too many softwires that are not programmed take a pool away, but
// not while they may be on their way.
func TestMissing(t *testing.T) {
	bubble(t, func(l *lab) {
		l.dp.OnOp = func(op dataplane.Op) dataplane.Result {
			if op.Softwire.PortSet.PSID() < 9 {
				return dataplane.Result{}
			}
			return dataplane.Result{Outcome: dataplane.Retryable, Err: errors.New("busy")}
		}
		l.start(9)
		l.ends(both)
		l.bind(12)
		time.Sleep(29 * time.Second)
		l.told()
		l.alarms()
		time.Sleep(time.Second)
		l.told("[]")
		l.is(Withdrawn, "3 of 12")
		l.alarms(AlarmLag)
	})
}

// TestRestart: over a restart of the router peers keep what they have until the
// data plane was verified, and the set is whole then.
func TestRestart(t *testing.T) {
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		time.Sleep(time.Second)
		l.stop()
		l.told()
		hold := make(chan struct{})
		l.dp.OnCall = waitFor(hold)
		l.start(20)
		time.Sleep(10 * time.Second)
		l.told("unknown")
		l.is(Unknown, "not been verified")
		close(hold)
		l.told(both)
		if !l.out.preserved {
			t.Error("peers are not told that packets went on")
		}
	})
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		l.stop()
		l.dp.Lose()
		l.start(20)
		l.ends(both)
		if l.out.preserved {
			t.Error("peers are told that packets went on")
		}
	})
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		l.stop()
		l.told()
		hold := make(chan struct{})
		l.dp.OnCall = waitFor(hold)
		l.start(30) // ten are new
		l.told("unknown")
		close(hold)
		l.told(both)
		if !l.out.preserved || l.gate.Stats().Pools[0].Withdrawals != 0 {
			t.Error("new softwires are taken for lost ones")
		}
	})
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		l.stop()
		l.dp.Disconnect("dead")
		l.start(20)
		time.Sleep(l.config.StartWait - time.Second)
		l.told("unknown")
		time.Sleep(time.Second)
		l.told("[]")
		l.is(Withdrawn, "dead")
	})
}

// TestPoolsJoin: a pool that comes while the router runs waits for its own
// softwires, and takes the BR address away from nobody.
func TestPoolsJoin(t *testing.T) {
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		l.pools = append(l.pools, testPool("b", "198.51.100.0/24", "2001:db8:ffff::1"))
		hold := make(chan struct{})
		l.dp.OnCall = waitFor(hold)
		l.rec.SetNetwork(l.network())
		l.table.Replace(func(yield func(softwire.Softwire) bool) {})
		l.bind(20)
		l.gate.Configure(l.pools, l.routes())
		l.told("[" + route4 + " " + route6 + "]") // that is of two pools now
		close(hold)
		l.told("[" + route4 + " 198.51.100.0/24 " + route6 + "]")
	})
}

// TestAnnouncerFails: it is told again until it takes the routes.
func TestAnnouncerFails(t *testing.T) {
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		l.out.fails.Store(true)
		l.dp.SetState(dataplane.StateDown, "no link")
		l.told()
		l.alarms(AlarmSpeaker)
		l.out.fails.Store(false)
		time.Sleep(time.Second)
		l.told("[]")
		l.alarms()
	})
}

// TestStateFile: one that cannot be read is an error, and one that cannot be
// written an alarm.
func TestStateFile(t *testing.T) {
	bubble(t, func(l *lab) {
		path := l.config.StateFile
		if err := os.WriteFile(path, []byte("not this"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(l.config.GateConfig, l.pools, l.routes(), nil, nil, nil, nil); err == nil {
			t.Error("a file that is none is read")
		}
		l.config.StateFile = filepath.Join(t.TempDir(), "missing", "json")
		l.start(20)
		l.ends(both)
		l.alarms(AlarmState)
		if err := l.gate.Drain(nil); !errors.Is(err, ErrState) {
			t.Errorf("Drain: %v", err)
		}
	})
}
