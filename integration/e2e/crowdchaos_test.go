package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/mutant"
	"github.com/lwaftr/lw4o6/integration/scene"
)

// turmoil is what happens to a crowd.
type turmoil struct {
	lwb4s int
	kills int // of the router
	seed  uint64
	// between is how long the router lives at most.
	between time.Duration
}

// TestPCPChaos: while lwB4s come, go, lose their memory and lose packets, the
// router is killed at random moments, over and over. In the end each holds one
// port set, none is shared, and the data plane agrees. LW4O6_CHAOS has it kill as
// often, among 10,000 lwB4s.
func TestPCPChaos(t *testing.T) {
	onBoth(t, func(t *testing.T, o scene.Options) {
		o.PCP, o.Unbound = true, true
		m := turmoil{lwb4s: 300, kills: 4, seed: rand.Uint64(), between: time.Second}
		if text := os.Getenv("LW4O6_CHAOS"); text != "" {
			kills, err := strconv.Atoi(text)
			if err != nil || kills < 1 {
				t.Fatalf("LW4O6_CHAOS=%q is no number of kills", text)
			}
			m.lwb4s, m.kills, m.between = 10_000, kills, 2*time.Second
		}
		t.Logf("seed %d", m.seed)
		if err := m.happen(t, o); err != nil {
			t.Errorf("seed %d: %v", m.seed, err)
		}
	})
}

// happen returns what is wrong in the end.
func (m turmoil) happen(t *testing.T, o scene.Options) error {
	ctx, s := startFor(t, o, patience+time.Duration(m.kills)*2*m.between)
	config := simulated(m.lwb4s, true, m.seed)
	config.Begin = time.Duration(m.kills) * m.between / 2
	// So short that many renew meanwhile, where it takes long.
	config.Population.Lifetime = time.Minute
	began := time.Now()
	c := newCrowd(ctx, t, s, config)
	random := rand.New(rand.NewPCG(m.seed, 1))
	for range m.kills {
		gone, err := c.disturb(random)
		if err != nil {
			return err
		}
		pause(ctx, time.Duration(random.Int64N(int64(m.between))))
		if err := killRouter(ctx, s); err != nil {
			return err
		}
		for _, i := range gone {
			c.fleet.Restart(i)
		}
	}
	err := c.settled(ctx)
	n := c.fleet.Counts()
	t.Logf("%d lwB4s, %d kills, %s: %d requests, %d answers; %d lost, %d duplicated, %d late; held again after an end %d, other port sets %d",
		m.lwb4s, m.kills, time.Since(began).Round(time.Second), n.Requests, n.Answers, n.Up.Lost+n.Down.Lost,
		n.Up.Duplicated+n.Down.Duplicated, n.Up.Late+n.Down.Late, n.Lost, n.Moved)
	if err == nil && n.Lost == 0 && n.Moved > 0 {
		err = fmt.Errorf("%w: %d lwB4s got other port sets than they held", errBroken, n.Moved)
	}
	if err == nil && n.Resets > 0 {
		err = fmt.Errorf("%w: %d times the epoch said that leases were lost", errBroken, n.Resets)
	}
	return err
}

// disturb has some lwB4s lose their memory, and others give back what they hold.
// It returns the latter, which want nothing any more.
func (c *crowd) disturb(random *rand.Rand) (gone []int, err error) {
	for range c.count / 100 {
		c.fleet.Restart(random.IntN(c.count))
		i := random.IntN(c.count)
		if err := c.fleet.Release(i); err != nil {
			return nil, err
		}
		gone = append(gone, i)
	}
	return gone, nil
}

// pause waits, but not longer than ctx lasts.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// TestPCPChaosNotices: a router with one thing wrong does not pass.
func TestPCPChaosNotices(t *testing.T) {
	for name, m := range map[string]struct{ file, old, new string }{
		"granted before it is durable": {
			"store/bolt/store.go",
			"return s.submit(ctx, newRequest(batch))", "go s.submit(context.Background(), newRequest(batch)); return nil",
		},
		"a binding is lost": {
			"provision/load.go",
			"softwire.Change{Put: put}", "softwire.Change{Put: put[:max(len(put)-1, 0)]}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			overlay, err := mutant.Overlay(folder, "../../plugin/"+m.file, m.old, m.new)
			must(t, err)
			wrong, err := binaries.WithLwaftr(t.Context(), folder, append(slices.Clone(buildFlags), "-overlay", overlay)...)
			must(t, err)
			for range 10 {
				seed := rand.Uint64()
				m := turmoil{lwb4s: 300, kills: 4, seed: seed, between: 500 * time.Millisecond}
				err := m.happen(t, scene.Options{PCP: true, Unbound: true, Binaries: wrong})
				t.Logf("seed %d: %v", seed, err)
				if errors.Is(err, errBroken) {
					return
				}
			}
			t.Error("nothing was noticed")
		})
	}
}
