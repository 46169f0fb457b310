package vppdrv

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a VPP between two ports, with a Driver that runs.
type bench struct {
	*Driver
	vpp   *vpptest.VPP
	ports map[dataplane.Side]*vpptest.Port
	sent  map[dataplane.Side]uint64 // since VPP was started
	// takenBefore is what the slow path had taken from VPPs before this one.
	takenBefore uint64
	stop        func() // ends the Driver
}

// testConfig is for a VPP of package vpptest.
func testConfig(v *vpptest.VPP) Config {
	c := DefaultConfig()
	c.API, c.Stats, c.Punt = v.API, v.Stats, v.Punt
	c.Instance = "test"
	c.RetryMin = 10 * time.Millisecond
	return c
}

// newBench starts all of it. What it sends out by a side goes to the far end
// of that side's port.
func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	return newBenchOn(t, vpptest.Config{}, change)
}

func newBenchOn(t testing.TB, on vpptest.Config, change func(*Config)) *bench {
	t.Helper()
	v := vpptest.Start(t, on)
	b := &bench{vpp: v, sent: make(map[dataplane.Side]uint64), ports: map[dataplane.Side]*vpptest.Port{
		dataplane.SideIPv4: v.AddPort(), dataplane.SideIPv6: v.AddPort(),
	}}
	b.route()
	b.seal()
	c := testConfig(v)
	if change != nil {
		change(&c)
	}
	var err error
	if b.Driver, err = New(c, quiet(t)); err != nil {
		t.Fatal(err)
	}
	b.run(t, b.Driver)
	return b
}

// run runs d as long as the test.
func (b *bench) run(t testing.TB, d *Driver) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	b.stop = stop
	return stop
}

// The networks of every bench.
const (
	accessNetwork = "2001:db8::/32"
	vpp4, far4    = "198.18.0.1", "198.18.0.2"
	vpp6, far6    = "2001:db9::1", "2001:db9::2"
)

// route does what an operator does: addresses, neighbours and routes.
func (b *bench) route() {
	p4, p6 := b.ports[dataplane.SideIPv4], b.ports[dataplane.SideIPv6]
	b.vpp.Lines(fmt.Sprintf(`
		set interface ip address %[1]s %[2]s/24
		set ip neighbor %[1]s %[3]s %[4]s
		ip route add 0.0.0.0/0 via %[3]s %[1]s
		set interface ip address %[5]s %[6]s/64
		set ip neighbor %[5]s %[7]s %[8]s
		ip route add %[9]s via %[7]s %[5]s`,
		p4.Interface, vpp4, far4, p4.MAC, p6.Interface, vpp6, far6, p6.MAC, accessNetwork))
}

// seal makes VPP forward no IPv6 but what is for BR addresses, as an operator
// would who has nothing else to forward.
func (b *bench) seal() {
	mask := make([]byte, 48)
	for i := 24; i < 40; i++ {
		mask[i] = 0xff
	}
	const current, deny = "current-data-flag 1 current-data-offset 0", "acl-miss-next deny"
	b.vpp.CLI("classify table mask hex %x buckets 16 memory-size 1M %s %s", mask, current, deny)
	for _, br := range []string{"2001:db8:ffff::1", "2001:db8:ffff::2", "2001:db8:ffff::3"} {
		match := make([]byte, 48)
		copy(match[24:], addr(br).AsSlice())
		b.vpp.CLI("classify session acl-hit-next permit table-index 0 match hex %x", match)
	}
	b.vpp.CLI("set interface input acl intfc %s ip6-table 0", b.ports[dataplane.SideIPv6].Interface)
}

// quiet logs to the test.
func quiet(t testing.TB) logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	if testing.Verbose() {
		log.SetOutput(t.Output())
		log.SetLevel(logrus.DebugLevel)
	}
	return log
}

// up waits until VPP is connected.
func (b *bench) up(t testing.TB) dataplane.Health {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var h dataplane.Health
	for h.State != dataplane.StateUp {
		var err error
		if h, err = b.WaitHealth(ctx, h); err != nil {
			t.Fatalf("not up: %v; last %+v", err, b.health.Get())
		}
	}
	return h
}

// send sends a packet into a side and waits until VPP and the slow path are
// done with it.
func (b *bench) send(ctx context.Context, side dataplane.Side, packet []byte) error {
	b.sent[side]++
	if err := b.ports[side].Send(packet); err != nil {
		return err
	}
	return b.settle(ctx)
}

// settle waits until everything that was sent, and what became of it, has gone
// through VPP.
func (b *bench) settle(ctx context.Context) error {
	for {
		r, err := b.Driver.stats.Read(ctx)
		if err != nil {
			return err
		}
		received := true
		for side, port := range b.ports {
			received = received && int(port.Index) < len(r.Interfaces) && r.Interfaces[port.Index].Rx.Packets >= b.sent[side]
		}
		if received {
			break
		}
		if !sleep(ctx, 200*time.Microsecond) {
			return ctx.Err()
		}
	}
	for {
		// VPP without workers answers between two rounds of forwarding. What it
		// was given to inject it takes in the round after.
		for range 3 {
			if _, err := b.vpp.TryCLI("show version"); err != nil {
				return err
			}
		}
		taken := b.slow.taken.Load()
		r, err := b.Driver.stats.Read(ctx)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(r.Events, func(e dataplane.Event) bool { return e.Name == "exceptions" }); r.Events[i].Packets <= taken-b.takenBefore {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// restarted makes the bench go on after VPP was started again.
func (b *bench) restarted() {
	for side, p := range b.ports {
		b.vpp.Reattach(p)
		b.sent[side] = 0
	}
	b.takenBefore = b.slow.taken.Load()
	b.route()
	b.seal()
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
