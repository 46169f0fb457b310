package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// TestPCP: lwB4s that know nothing but the lwAFTR's address get port sets, over a
// bad way, and traffic from them crosses the softwire. They keep them while the
// router is killed.
func TestPCP(t *testing.T) {
	onBoth(t, func(t *testing.T, o scene.Options) {
		for name, inSoftwire := range map[string]bool{"in the softwire": true, "over plain IPv6": false} {
			t.Run(name, func(t *testing.T) {
				o.PCP, o.Unbound = true, true
				ctx, s := start(t, o)
				crowd := newCrowd(ctx, t, s, simulated(500, inSoftwire, 1))
				// It is killed amid their first requests.
				must(t, crowd.fleet.Await(ctx, func(c lwb4sim.Counts) bool { return c.Held > crowd.count/4 }))
				must(t, killRouter(ctx, s))
				must(t, crowd.settled(ctx))
				if c := crowd.fleet.Counts(); c.Moved != 0 || c.Lost != 0 {
					t.Errorf("%+v", c)
				}
			})
		}
	})
}

// simulated is the configuration of some simulated lwB4s behind a bad network.
func simulated(count int, inSoftwire bool, seed uint64) lwb4sim.FleetConfig {
	config := lwb4sim.FleetConfig{
		Population: lwb4sim.Population{
			Count: count, First: scene.FirstLwB4, PrefixBits: scene.SimulatedBits, BR: scene.BR, InSoftwire: inSoftwire,
			Ports: pcpmsg.AllPorts, Lifetime: time.Hour, Seed: seed,
		},
		Impairment: lwb4sim.Impairment{Loss: 0.2, Duplicate: 0.2, Late: 0.3, Delay: 50 * time.Millisecond},
		Timing:     client.DefaultTiming(),
		Begin:      time.Second,
	}
	config.Timing.Initial, config.Timing.Maximum = 200*time.Millisecond, 600*time.Millisecond
	return config
}

// killRouter kills the router and starts it again.
func killRouter(ctx context.Context, s *scene.Scene) error {
	if err := s.RouterProcess().Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-s.RouterProcess().Done()
	return s.StartRouter(ctx)
}

// TestPCPCommands: lwaftr pcp, by an operator's host that may speak for lwB4s.
func TestPCPCommands(t *testing.T) {
	ctx, s := start(t, scene.Options{PCP: true, Unbound: true})
	pcp := func(args ...string) (string, error) {
		args = append(args, "--server", scene.BR.String(), "--source", scene.OperatorAddr.String())
		p, err := s.Access.Start(binaries.Lwaftr, append([]string{"pcp"}, args...)...)
		must(t, err)
		err = p.Wait()
		return p.Output(), err
	}
	grant := func(args ...string) (g portGrant) {
		t.Helper()
		out, err := pcp(append([]string{"map", "-o", "json"}, args...)...)
		must(t, err)
		must(t, json.Unmarshal([]byte(out), &g))
		return g
	}
	if out, err := pcp("announce"); err != nil || !strings.Contains(out, "epoch") {
		t.Errorf("%s, %v", out, err)
	}
	const lwb4 = "2001:db8:1000::b4"
	first := grant("--third-party", lwb4, "--suggested", "192.0.2.7:2048")
	if first.External.String() != "192.0.2.7" || first.FirstPort != 2048 || first.Ports != 1024 {
		t.Errorf("%+v", first)
	}
	if again := grant("--third-party", lwb4, "--nonce", first.Nonce); again != first {
		t.Errorf("renewed as %+v, it was %+v", again, first)
	}
	leases := func() (found []api.Lease) {
		t.Helper()
		for l, err := range s.Router().Leases(ctx, api.LeaseFilter{State: "bound"}) {
			must(t, err)
			found = append(found, l)
		}
		return found
	}
	if found := leases(); len(found) != 1 || found[0].B4.String() != lwb4 {
		t.Errorf("%+v", found)
	}
	if out, err := pcp("map", "--third-party", lwb4); err == nil || !strings.Contains(out, "NOT_AUTHORIZED") {
		t.Errorf("another nonce: %s, %v", out, err)
	}
	for range 2 {
		if out, err := pcp("delete", "--third-party", lwb4, "--nonce", first.Nonce); err != nil || out != "" {
			t.Errorf("%s, %v", out, err)
		}
	}
	if found := leases(); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	if own := grant(); own.Ports != 1024 {
		t.Errorf("%+v", own)
	}
}

// TestPCPOnDataPlanes: both data planes hand over PCP of both kinds, and bring the
// answers: a CPE is told its softwire of the configuration.
func TestPCPOnDataPlanes(t *testing.T) {
	onBoth(t, func(t *testing.T, o scene.Options) {
		o.PCP = true
		_, s := start(t, o)
		sub := s.Subscribers[0].Softwire
		for name, args := range map[string][]string{
			"plain IPv6":      {"--server", scene.BR.String(), "--source", sub.B4.String()},
			"in the softwire": {"--server", "192.0.0.1", "--source", "192.0.0.2"},
		} {
			p, err := s.CPEs[0].Start(binaries.Lwaftr, append([]string{"pcp", "map", "-o", "json"}, args...)...)
			must(t, err)
			if err := p.Wait(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, p.Output())
				continue
			}
			var g portGrant
			must(t, json.Unmarshal([]byte(p.Output()), &g))
			if g.External != sub.IPv4 || g.Ports != sub.PortSet.Count() || !sub.PortSet.Contains(g.FirstPort) {
				t.Errorf("%s: %+v, want %s", name, g, sub)
			}
		}
	})
}

// TestNATPMP: a client of PCP's predecessor is told the version (RFC 6887
// appendix A).
func TestNATPMP(t *testing.T) {
	netlab.RequireProgram(t, "natpmpc", "natpmpc")
	_, s := start(t, scene.Options{PCP: true})
	p, err := s.CPEs[0].Start("natpmpc", "-g", "192.0.0.1")
	must(t, err)
	if err := p.Wait(); err == nil || !strings.Contains(p.Output(), "unsupported nat-pmp version") {
		t.Errorf("%v\n%s", err, p.Output())
	}
}
