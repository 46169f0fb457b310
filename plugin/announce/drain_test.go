package announce

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
)

// waitFor stalls every call of a data plane until c is closed.
func waitFor(c <-chan struct{}) func(context.Context, fake.Call) error {
	return func(ctx context.Context, _ fake.Call) error {
		select {
		case <-c:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// What pool a has while it drains.
const leaving = "[" + route4 + "! " + route6 + "!]"

// TestDrain: traffic is asked to leave, and routes go when it has; a restart
// changes nothing, and an operator ends it.
func TestDrain(t *testing.T) {
	bubble(t, func(l *lab) {
		l.start(20)
		l.ends(both)
		drain := l.config.Drain
		rate := uint64(100 * drain.Idle)
		go func() {
			for range 45 {
				time.Sleep(time.Second)
				l.packets.Add(rate)
			}
		}()
		if err := l.gate.Drain([]string{"a"}); err != nil {
			t.Fatal(err)
		}
		l.told(leaving)
		time.Sleep(40 * time.Second)
		l.told()
		l.is(Draining, "packets per second")
		time.Sleep(10 * time.Second)
		l.told("[]")
		l.is(Drained, "operator")
		l.stop()
		l.start(20)
		l.ends("[]")
		l.is(Drained, "operator")
		if err := l.gate.Undrain([]string{"a"}); err != nil {
			t.Fatal(err)
		}
		l.told(both)
	})
}

// TestDrainEnds: by time if traffic stays, not before the least time if there is
// none, and with the data plane.
func TestDrainEnds(t *testing.T) {
	for name, c := range map[string]struct {
		rate uint64
		lose bool
		want func(DrainConfig) time.Duration
	}{
		"traffic stays": {1000, false, func(c DrainConfig) time.Duration { return c.Max }},
		"no traffic":    {0, false, func(c DrainConfig) time.Duration { return c.Min }},
		"loss":          {1000, true, func(DrainConfig) time.Duration { return 5 * time.Second }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				l.start(20)
				l.ends(both)
				begin := time.Now()
				if err := l.gate.Drain(nil); err != nil {
					t.Fatal(err)
				}
				l.told(leaving)
				for i := range 400 {
					time.Sleep(time.Second)
					l.packets.Add(c.rate)
					if c.lose && i == 4 {
						l.dp.SetState(dataplane.StateDown, "no link")
					}
				}
				l.is(Drained, "")
				if got := l.out.times[0].Sub(begin).Round(time.Second); got != c.want(l.config.Drain) {
					t.Errorf("withdrawn after %s", got)
				}
				l.told("[]")
				// Nothing was lost but on purpose.
				if p := l.gate.Stats().Pools[0]; !c.lose && p.Withdrawals != 0 {
					t.Errorf("%d withdrawals are counted", p.Withdrawals)
				}
			})
		})
	}
}

// TestDrainShared: who shares a route drains together.
func TestDrainShared(t *testing.T) {
	bubble(t, func(l *lab) {
		l.pools = append(l.pools, testPool("b", "198.51.100.0/24", "2001:db8:ffff::1"))
		l.start(5)
		for _, c := range []struct {
			names []string
			want  error
		}{
			{[]string{"a"}, ErrShared},
			{[]string{"a", "x"}, ErrPool},
			{[]string{"a", "b"}, nil},
			{[]string{"a"}, nil}, // b does already
			{nil, nil},
		} {
			if err := l.gate.Drain(c.names); !errors.Is(err, c.want) {
				t.Errorf("drain %v: %v, want %v", c.names, err, c.want)
			}
		}
		if err := l.gate.Undrain([]string{"x"}); !errors.Is(err, ErrPool) {
			t.Errorf("undrain of no pool: %v", err)
		}
	})
}
