package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// street is a lwAFTR that serves PCP, with the Internet on one side and a device
// on the other that many lwB4s are behind.
type street struct {
	*testing.T
	aftr, internet *netlab.Namespace
	tun            *lwb4sim.TUN
	folder         string
	router         *netlab.Process
}

const (
	streetBR     = "2001:db8:ffff::1"
	streetServer = "203.0.113.1:7777"
)

func newStreet(ctx context.Context, t *testing.T) *street {
	t.Helper()
	netlab.Require(t)
	s := &street{T: t, folder: t.TempDir()}
	lab := netlab.New()
	t.Cleanup(func() { must(t, lab.Close()) })
	var err error
	s.aftr, err = lab.Namespace("aftr")
	must(t, err)
	s.internet, err = lab.Namespace("internet")
	must(t, err)
	must(t, s.aftr.Forward())
	must(t, lab.Connect(
		netlab.End{Node: s.aftr, Name: "internet", Addrs: []netip.Prefix{netip.MustParsePrefix("203.0.113.254/24")}},
		netlab.End{Node: s.internet, Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/24")}}))
	must(t, s.internet.Route(netip.MustParsePrefix("192.0.2.0/24"), netip.MustParseAddr("203.0.113.254")))
	must(t, s.aftr.Do(func() (err error) { s.tun, err = lwb4sim.OpenTUN("lwb4s"); return err }))
	t.Cleanup(func() { must(t, s.tun.Close()) })
	must(t, s.aftr.Address("lwb4s", netip.MustParsePrefix("2001:db8:fffe::1/64")))
	must(t, s.aftr.Route(netip.MustParsePrefix("2001:db8:1000::/36"), netip.MustParseAddr("2001:db8:fffe::2")))
	s.start(ctx)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("lwaftr wrote:\n%s", s.router.Output())
		}
	})
	return s
}

// start starts the router, also again.
func (s *street) start(ctx context.Context) {
	s.Helper()
	config := filepath.Join(s.folder, "lwaftr.yaml")
	socket := filepath.Join(s.folder, "c.sock")
	must(s.T, os.WriteFile(config, fmt.Appendf(nil, `
pools:
  - {name: pcp, prefixes: [192.0.2.0/28], psid-len: 6, br-ipv6-addr: "%s", mechanisms: [pcp]}
store: {path: %s}
pcp: {enabled: true, third-parties: ["2001:db8:fffe::/64"]}
dataplane: {forwarder: {ipv4-address: 203.0.113.2}}
control: {socket: %s}
`, streetBR, filepath.Join(s.folder, "leases.db"), socket), 0o600))
	var err error
	s.router, err = s.aftr.Start(binaries.Lwaftr, "run", "-c", config)
	must(s.T, err)
	control := api.NewClient(socket)
	for {
		if status, err := control.Status(ctx); err == nil && status.Ready {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.router.Done():
			s.Fatalf("lwaftr ended:\n%s", s.router.Output())
		case <-ctx.Done():
			s.Fatalf("lwaftr is not ready:\n%s", s.router.Output())
		}
	}
}

// TestPCP: lwB4s that know nothing but the lwAFTR's address get port sets, over a
// bad way, and traffic from them crosses the softwire. They keep them while the
// router is killed.
func TestPCP(t *testing.T) {
	for name, inSoftwire := range map[string]bool{"in the softwire": true, "over plain IPv6": false} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s := newStreet(ctx, t)
			const count = 500
			config := lwb4sim.FleetConfig{
				Population: lwb4sim.Population{
					Count: count, First: netip.MustParseAddr("2001:db8:1000::1"), PrefixBits: 56,
					BR: netip.MustParseAddr(streetBR), InSoftwire: inSoftwire,
					Ports: pcpmsg.AllPorts, Lifetime: time.Hour, Seed: 1,
				},
				Impairment: lwb4sim.Impairment{Loss: 0.2, Duplicate: 0.2, Late: 0.3, Delay: 50 * time.Millisecond},
				Timing:     client.DefaultTiming(),
				Begin:      time.Second,
			}
			config.Timing.Initial, config.Timing.Maximum = 300*time.Millisecond, 2*time.Second
			fleet, err := lwb4sim.NewFleet(s.tun, config)
			must(t, err)
			running, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- fleet.Run(running) }()
			// It is killed amid their first requests.
			must(t, fleet.Await(ctx, func(c lwb4sim.Counts) bool { return c.Held > count/4 }))
			must(t, s.router.Signal(syscall.SIGKILL))
			<-s.router.Done()
			s.start(ctx)
			must(t, fleet.Await(ctx, func(c lwb4sim.Counts) bool { return c.Held == count }))
			holdings := fleet.Holdings()
			must(t, lwb4sim.Check(holdings))
			if c := fleet.Counts(); c.Moved != 0 || c.Lost != 0 || c.Resets != 0 {
				t.Errorf("%+v", c)
			}
			stop()
			must(t, <-ended)
			s.traffic(ctx, holdings[0], holdings[count-1])
		})
	}
}

// traffic sends a datagram from the first and last port of some lwB4s, which the
// Internet echoes.
func (s *street) traffic(ctx context.Context, holdings ...lwb4sim.Holding) {
	s.Helper()
	server := netip.MustParseAddrPort(streetServer)
	echo, err := probe.OpenDatagram(s.internet, server)
	must(s.T, err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- echo.Echo(running) }()
	for _, h := range holdings {
		block := slices.Collect(h.PortSet.Ranges())[0]
		for _, port := range []uint16{block.First, block.Last} {
			sent := datagram.Datagram{
				OuterFrom: h.LwB4, OuterTo: netip.MustParseAddr(streetBR),
				From: netip.AddrPortFrom(h.IPv4, port), To: server,
				Payload: fmt.Appendf(nil, "from port %d of %s", port, h.LwB4),
			}
			must(s.T, s.tun.Send(sent.Packet()))
			s.expect(ctx, sent.Reply(sent.Payload))
		}
	}
	stop()
	must(s.T, <-ended)
	must(s.T, echo.Close())
}

// expect waits for a packet to come to the lwB4s.
func (s *street) expect(ctx context.Context, want datagram.Datagram) {
	s.Helper()
	b := make([]byte, 2000)
	for {
		n, err := s.tun.Receive(ctx, b)
		must(s.T, err)
		got, err := datagram.Parse(b[:n])
		if err == nil && got.From == want.From && got.To == want.To && got.OuterTo == want.OuterTo && string(got.Payload) == string(want.Payload) {
			return
		}
	}
}

// TestPCPCommands: lwaftr pcp, by an operator's host that may speak for lwB4s.
func TestPCPCommands(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := newStreet(ctx, t)
	pcp := func(args ...string) (string, error) {
		p, err := s.aftr.Start(binaries.Lwaftr, append([]string{"pcp"}, append(args, "--server", streetBR, "--source", "2001:db8:fffe::1")...)...)
		must(t, err)
		err = p.Wait()
		return p.Output(), err
	}
	grant := func(args ...string) (g struct {
		External  netip.Addr `json:"external-address"`
		FirstPort uint16     `json:"first-port"`
		Ports     int        `json:"ports"`
		Nonce     string     `json:"nonce"`
	}) {
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
		for l, err := range api.NewClient(filepath.Join(s.folder, "c.sock")).Leases(ctx, api.LeaseFilter{State: "bound"}) {
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
			var g struct {
				External netip.Addr `json:"external-address"`
				First    uint16     `json:"first-port"`
				Ports    int        `json:"ports"`
			}
			must(t, json.Unmarshal([]byte(p.Output()), &g))
			if g.External != sub.IPv4 || g.Ports != sub.PortSet.Count() || !sub.PortSet.Contains(g.First) {
				t.Errorf("%s: %+v, want %s", name, g, sub)
			}
		}
	})
}

// TestNATPMP: a client of PCP's predecessor is told the version (RFC 6887
// appendix A).
func TestNATPMP(t *testing.T) {
	natpmpc, err := exec.LookPath("natpmpc")
	if err != nil {
		t.Skip("needs natpmpc")
	}
	_, s := start(t, scene.Options{PCP: true})
	p, err := s.CPEs[0].Start(natpmpc, "-g", "192.0.0.1")
	must(t, err)
	if err := p.Wait(); err == nil || !strings.Contains(p.Output(), "unsupported nat-pmp version") {
		t.Errorf("%v\n%s", err, p.Output())
	}
}
