package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// crowd is simulated lwB4s in a scene, which keep port sets by PCP or DHCPv6.
type crowd struct {
	scene *scene.Scene
	link  *lwb4sim.TUN
	fleet *lwb4sim.Fleet
	count int
	// stop ends the fleet, but not what it holds.
	stop func() error
}

// newCrowd lets lwB4s begin.
func newCrowd(ctx context.Context, t *testing.T, s *scene.Scene, config lwb4sim.FleetConfig) *crowd {
	t.Helper()
	return beginCrowd(ctx, t, s, config.Population.Count, func(link lwb4sim.Link) (*lwb4sim.Fleet, error) { return lwb4sim.NewFleet(link, config) })
}

// beginCrowd lets so many lwB4s begin that create makes.
func beginCrowd(ctx context.Context, t *testing.T, s *scene.Scene, count int, create func(lwb4sim.Link) (*lwb4sim.Fleet, error)) *crowd {
	t.Helper()
	link, err := s.OpenLwB4s()
	must(t, err)
	t.Cleanup(func() { must(t, link.Close()) })
	fleet, err := create(link)
	must(t, err)
	running, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	var failed error
	go func() {
		defer close(ended)
		failed = fleet.Run(running)
	}()
	stop := func() error {
		cancel()
		<-ended
		return failed
	}
	t.Cleanup(func() { must(t, stop()) })
	return &crowd{scene: s, link: link, fleet: fleet, count: count, stop: stop}
}

// errBroken reports that somebody does not have what was promised.
var errBroken = errors.New("a promise is broken")

// settled waits until all hold a port set, and then says what is wrong with them:
// two may share ports, or the router or the data plane may know better. Then the
// error wraps errBroken.
func (c *crowd) settled(ctx context.Context) error {
	if err := c.fleet.Await(ctx, func(n lwb4sim.Counts) bool { return n.Held == c.count }); err != nil {
		return err
	}
	if err := c.stop(); err != nil {
		return err
	}
	holdings := c.fleet.Holdings()
	err := lwb4sim.Check(holdings)
	if err == nil {
		err = c.sameAsLeases(ctx, holdings)
	}
	if err == nil {
		err = c.crosses(ctx, holdings)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}

// sameAsLeases compares what lwB4s hold with the router's leases and softwires.
func (c *crowd) sameAsLeases(ctx context.Context, holdings []lwb4sim.Holding) error {
	held := make(map[softwire.Key]netip.Addr)
	for _, h := range holdings {
		held[softwire.Key{IPv4: h.IPv4, PortSet: h.PortSet}] = h.LwB4
	}
	leases, softwires := 0, 0
	for l, err := range c.scene.Router().Leases(ctx, api.LeaseFilter{State: "bound"}) {
		if err != nil {
			return err
		}
		key, err := l.Key.Key()
		if err != nil {
			return err
		}
		if leases++; held[key] != l.B4 {
			return fmt.Errorf("the lease of %s is %s's, and %s holds it", key, l.B4, held[key])
		}
	}
	for shown, err := range c.scene.Router().Softwires(ctx, api.SoftwireFilter{}) {
		if err != nil {
			return err
		}
		s, err := shown.Softwire()
		if err != nil {
			return err
		}
		if softwires++; held[s.Key()] != s.B4 || shown.Problem != "" {
			return fmt.Errorf("softwire %s (%s) is of %s", s, shown.Problem, held[s.Key()])
		}
	}
	if leases != len(held) || softwires != len(held) {
		return fmt.Errorf("%d port sets are held, there are %d leases and %d softwires", len(held), leases, softwires)
	}
	return nil
}

// atOnce is how many datagrams are on their way at the same time, and echoTime
// how long they may take.
const (
	atOnce   = 32
	echoTime = 10 * time.Second
)

// crosses sends a datagram from the first and the last port of each lwB4, which
// the Internet echoes: the data plane has what the lwB4s hold.
func (c *crowd) crosses(ctx context.Context, holdings []lwb4sim.Holding) error {
	var all []datagram.Datagram
	for _, h := range holdings {
		block := slices.Collect(h.PortSet.Ranges())[0]
		for _, port := range []uint16{block.First, block.Last} {
			from := netip.AddrPortFrom(h.IPv4, port)
			all = append(all, datagram.Datagram{
				OuterFrom: h.LwB4, OuterTo: scene.BR, From: from, To: c.scene.Echo(), Payload: payload(from, h.LwB4),
			})
		}
	}
	for some := range slices.Chunk(all, atOnce) {
		if err := c.echoed(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// echoed sends datagrams and waits for their echoes.
func (c *crowd) echoed(ctx context.Context, sent []datagram.Datagram) error {
	ctx, cancel := context.WithTimeout(ctx, echoTime)
	defer cancel()
	waiting := make(map[string]bool)
	for _, d := range sent {
		waiting[string(d.Payload)] = true
		if err := c.link.Send(d.Packet()); err != nil {
			return err
		}
	}
	b := make([]byte, 2000)
	for len(waiting) > 0 {
		n, err := c.link.Receive(ctx, b)
		if err != nil {
			return fmt.Errorf("%d of %d datagrams did not come back, one of them %v: %w", len(waiting), len(sent), waiting, err)
		}
		d, err := datagram.Parse(b[:n])
		if err != nil || d.From != c.scene.Echo() {
			continue
		}
		if bytes.Equal(d.Payload, payload(d.To, d.OuterTo)) {
			delete(waiting, string(d.Payload))
		}
	}
	return nil
}

// payload says whose datagram it is, so that it can be seen whether the echo has
// come to the same lwB4.
func payload(from netip.AddrPort, lwb4 netip.Addr) []byte {
	return fmt.Appendf(nil, "from %s of %s", from, lwb4)
}
