package reconcile

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var br = netip.MustParseAddr("2001:db8:ffff::1")

func testNetwork() dataplane.Network {
	return dataplane.Network{
		Pools: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("100.64.0.0/10")},
		BRs:   []netip.Addr{br},
	}
}

// sw is the softwire of a lwB4 for a port set on 192.0.2.host.
func sw(host byte, a, k uint8, psid uint16, lwb4 uint16) softwire.Softwire {
	set, err := portset.Of(a, k, psid)
	if err != nil {
		panic(err)
	}
	b4 := netip.MustParseAddr("2001:db8:100::1").As16()
	b4[6], b4[7] = byte(lwb4>>8), byte(lwb4)
	return softwire.Softwire{
		IPv4: netip.AddrFrom4([4]byte{192, 0, 2, host}), PortSet: set, B4: netip.AddrFrom16(b4), BR: br,
	}
}

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// bench is a Reconciler on a fake data plane, inside a synctest bubble.
type bench struct {
	*testing.T
	table *softwire.Table
	fake  *fake.Dataplane
	r     *Reconciler
}

// newBench starts a Reconciler whose table has softwires already.
func newBench(t *testing.T, dp *fake.Dataplane, softwires ...softwire.Softwire) *bench {
	t.Helper()
	b := &bench{T: t, table: softwire.NewTable(), fake: dp}
	b.change(softwire.Change{Put: softwires})
	b.r = start(t, b.table, dp, DefaultConfig(), newState(DefaultConfig()).limits)
	return b
}

// start runs a Reconciler until the test ends.
func start(t *testing.T, table *softwire.Table, dp Dataplane, config Config, limits limits) *Reconciler {
	t.Helper()
	r, err := New(config, table, testNetwork(), dp, quiet())
	if err != nil {
		t.Fatal(err)
	}
	r.state.limits = limits
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func (b *bench) change(c softwire.Change) {
	b.Helper()
	if err := b.table.Apply(c); err != nil {
		b.Fatal(err)
	}
	if b.r != nil {
		b.r.Changed()
	}
}

// settle waits until nothing happens any more without time passing.
func (b *bench) settle() Stats {
	synctest.Wait()
	return b.r.Stats()
}

// later lets d pass.
func (b *bench) later(d time.Duration) Stats {
	time.Sleep(d)
	return b.settle()
}

// holds requires that the data plane holds exactly want.
func (b *bench) holds(want ...softwire.Softwire) {
	b.Helper()
	wanted := make(map[softwire.Key]softwire.Softwire)
	for _, s := range want {
		wanted[s.Key()] = s
	}
	if held := b.fake.Held(); !maps.Equal(held, wanted) {
		b.Errorf("the data plane holds\n%v\nwant\n%v", held, wanted)
	}
}

// sent returns the ops that were executed since the last call.
func (b *bench) sent() []string {
	var ops []string
	for op, result := range b.fake.Ops() {
		ops = append(ops, fmt.Sprintf("%s %s: %s", op.Kind, op.Softwire.Key(), result.Outcome))
	}
	b.fake.Forget()
	return ops
}

// bubble runs f with virtual time.
func bubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }
