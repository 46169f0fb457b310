package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
	"github.com/lwaftr/lw4o6/integration/mutant"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// dhcpTurmoil is what happens to a crowd that uses DHCPv6.
type dhcpTurmoil struct {
	lwb4s   int
	kills   int // of the DHCPv6 server and of the router
	seed    uint64
	between time.Duration // how long both live at most
	// valid is how long what is delegated lasts: so short that many renew meanwhile,
	// and that what nobody was told of has ended soon.
	valid  time.Duration
	timing lwb4sim.DHCPTiming
	// within has the router itself be the server.
	within bool
}

// smallTurmoil is over in seconds.
func smallTurmoil(between time.Duration) dhcpTurmoil {
	return dhcpTurmoil{
		lwb4s: 300, kills: 4, seed: rand.Uint64(), between: between, valid: 15 * time.Second,
		timing: lwb4sim.DHCPTiming{Initial: 200 * time.Millisecond, Renewal: 300 * time.Millisecond, Maximum: 600 * time.Millisecond},
	}
}

// TestDHCPv6Chaos: while lwB4s behind a relay come, go, lose their memory and lose
// packets, the DHCPv6 server or the router is killed at random moments, over and
// over. In the end each holds one prefix and one port set, none is shared, what it
// was told of before is what it has, and the data plane agrees. LW4O6_CHAOS has it
// kill as often, among 3,000 lwB4s.
func TestDHCPv6Chaos(t *testing.T) {
	t.Run("beside the router", func(t *testing.T) { testDHCPv6Chaos(t, false) })
	t.Run("within the router", func(t *testing.T) { testDHCPv6Chaos(t, true) })
}

func testDHCPv6Chaos(t *testing.T, within bool) {
	m := smallTurmoil(time.Second)
	m.within = within
	if text := os.Getenv("LW4O6_CHAOS"); text != "" {
		kills, err := strconv.Atoi(text)
		if err != nil || kills < 1 {
			t.Fatalf("LW4O6_CHAOS=%q is no number of kills", text)
		}
		m.lwb4s, m.kills, m.between, m.valid = 3000, kills, 4*time.Second, time.Minute
		m.timing = lwb4sim.DHCPTiming{Initial: time.Second, Renewal: time.Second, Maximum: 4 * time.Second}
	}
	t.Logf("seed %d", m.seed)
	if err := m.happen(t, scene.Options{}); err != nil {
		t.Errorf("seed %d: %v", m.seed, err)
	}
}

// TestDHCPv6ChaosNotices: servers that answer before what they say is durable do
// not pass.
func TestDHCPv6ChaosNotices(t *testing.T) {
	if os.Getenv("LW4O6_CHAOS") == "" {
		t.Skip("needs LW4O6_CHAOS: make chaos takes the time for it")
	}
	folder := t.TempDir()
	overlay, err := mutant.Overlay(folder, "../../plugin/store/bolt/store.go",
		"return s.submit(ctx, newRequest(batch))", "go s.submit(context.Background(), newRequest(batch)); return nil")
	must(t, err)
	wrong, err := scene.Build(t.Context(), folder, "-overlay", overlay)
	must(t, err)
	for range 10 {
		m := smallTurmoil(500 * time.Millisecond)
		err := m.happen(t, scene.Options{Binaries: wrong})
		t.Logf("seed %d: %v", m.seed, err)
		if errors.Is(err, errBroken) {
			return
		}
	}
	t.Error("nothing was noticed")
}

// happen returns what is wrong in the end.
func (m dhcpTurmoil) happen(t *testing.T, o scene.Options) error {
	o.DHCPv6, o.Unbound = true, true
	pool := fmt.Sprintf("{name: crowd, prefixes: [\"%s\"], preferred-lifetime: %s, valid-lifetime: %s}", scene.SimulatedLwB4s, m.valid, m.valid)
	at := scene.DHCPServer()
	if m.within {
		at = scene.RouterAccess()
		o.Sections = fmt.Sprintf("dhcpv6: {enabled: true, listen: [{address: \"%s\"}], retry: 1s, pools: [%s]}", at, pool)
	}
	ctx, s := startFor(t, o, patience+2*m.valid+time.Duration(m.kills)*2*m.between)
	var server *coredhcp
	if !m.within {
		server = newCoredhcp(ctx, t, s, "retry: 1s", pool)
	}
	c := beginCrowd(ctx, t, s, m.lwb4s, func(link lwb4sim.Link) (*lwb4sim.Fleet, error) {
		return lwb4sim.NewDHCPFleet(link, lwb4sim.DHCPConfig{
			Population: lwb4sim.DHCPPopulation{Count: m.lwb4s, Relay: scene.SimulatedRelay(), Server: at, Seed: m.seed},
			Impairment: lwb4sim.Impairment{Loss: 0.2, Duplicate: 0.2, Late: 0.3, Delay: 50 * time.Millisecond},
			Timing:     m.timing,
			Begin:      time.Duration(m.kills) * m.between / 2,
		})
	})
	began, random := time.Now(), rand.New(rand.NewPCG(m.seed, 1))
	for range m.kills {
		gone, err := c.disturb(random)
		if err != nil {
			return err
		}
		pause(ctx, time.Duration(random.Int64N(int64(m.between))))
		if server != nil && random.IntN(2) == 0 {
			err = server.kill(ctx)
		} else {
			err = killRouter(ctx, s)
		}
		if err != nil {
			return err
		}
		for _, i := range gone {
			c.fleet.Restart(i)
		}
	}
	err := c.fleet.Await(ctx, func(n lwb4sim.Counts) bool { return n.Held == c.count })
	if err == nil {
		err = c.alone(ctx)
	}
	if err == nil {
		err = c.settled(ctx)
	}
	n := c.fleet.Counts()
	t.Logf("%d lwB4s, %d kills, %s: %d requests, %d answers; %d lost, %d duplicated, %d late; held again after an end %d, others than before %d",
		m.lwb4s, m.kills, time.Since(began).Round(time.Second), n.Requests, n.Answers, n.Up.Lost+n.Down.Lost,
		n.Up.Duplicated+n.Down.Duplicated, n.Up.Late+n.Down.Late, n.Lost, n.Moved)
	if err == nil && n.Moved > 0 {
		err = fmt.Errorf("%w: %d lwB4s got other prefixes or port sets than they held", errBroken, n.Moved)
	}
	if err == nil && n.Resets > 0 {
		err = fmt.Errorf("%w: %d times the server did not know what it had delegated", errBroken, n.Resets)
	}
	return err
}

// alone waits until nobody but the lwB4s has leases: what was granted just before a
// kill, and told to nobody, ends by itself.
func (c *crowd) alone(ctx context.Context) error {
	for {
		leases := 0
		for _, err := range c.scene.Router().Leases(ctx, api.LeaseFilter{State: "bound"}) {
			if err != nil {
				return err
			}
			leases++
		}
		if leases == c.count {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: %d leases for %d lwB4s: %w", errBroken, leases, c.count, ctx.Err())
		}
	}
}
