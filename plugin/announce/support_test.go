package announce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is an Announcer that keeps what it is told, as text.
type recorder struct {
	mu        sync.Mutex
	sets      []string
	times     []time.Time
	preserved bool
	fails     atomic.Bool
}

func (r *recorder) ForwardingPreserved() { r.preserved = true }

var errSpeaker = errors.New("no speaker")

func (r *recorder) Set(_ context.Context, all []Announcement) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails.Load() {
		return errSpeaker
	}
	r.sets, r.times = append(r.sets, text(all)), append(r.times, time.Now())
	return nil
}

// text is a set in one line.
func text(all []Announcement) string {
	if all == nil {
		return "unknown"
	}
	words := []string{}
	for _, a := range all {
		word := a.Prefix.String()
		if a.Drain {
			word += "!"
		}
		words = append(words, word)
	}
	return "[" + strings.Join(words, " ") + "]"
}

// take returns the sets since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	sets := r.sets
	r.sets, r.times = nil, nil
	return sets
}

// lab is a Gate with a real reconciler on a fake data plane, in a synctest bubble.
type lab struct {
	*testing.T
	dp      *fake.Dataplane
	pools   pool.Pools
	config  Config
	packets atomic.Uint64 // of pool a, that the meter shows

	table *softwire.Table
	rec   *reconcile.Reconciler
	gate  *Gate
	out   *recorder
	stop  func()
}

func newLab(t *testing.T) *lab {
	l := &lab{
		T: t, dp: fake.New(), config: DefaultConfig(),
		pools: pool.Pools{testPool("a", "192.0.2.0/24", "2001:db8:ffff::1")},
	}
	l.config.StateFile = filepath.Join(t.TempDir(), "json")
	return l
}

// start runs a router with n softwires on each pool.
func (l *lab) start(n int) {
	l.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	l.table = softwire.NewTable()
	l.bind(n)
	rec, err := reconcile.New(reconcile.DefaultConfig(), l.table, l.network(), l.dp, log)
	if err != nil {
		l.Fatal(err)
	}
	rec.Complete()
	l.rec, l.out = rec, &recorder{}
	l.gate, err = New(l.config.GateConfig, l.pools, l.routes(), rec, l.out, l.meter, log)
	if err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{rec.Run, l.gate.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				l.Error(err)
			}
		})
	}
	l.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	l.Cleanup(l.stop)
}

func (l *lab) meter(context.Context) (map[string]uint64, error) {
	return map[string]uint64{"a": l.packets.Load()}, nil
}

func (l *lab) network() dataplane.Network {
	return dataplane.Network{Pools: l.pools.Prefixes(), BRs: l.pools.BRs()}
}

func (l *lab) routes() []Route {
	l.Helper()
	routes, err := l.config.Routes(l.pools)
	if err != nil {
		l.Fatal(err)
	}
	return routes
}

// bind puts softwires on the first address of each pool.
func (l *lab) bind(n int) {
	l.Helper()
	var c softwire.Change
	for i, p := range l.pools {
		for psid := range n {
			set, err := portset.Of(0, 8, uint16(psid))
			if err != nil {
				l.Fatal(err)
			}
			b4 := netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", i+1, psid+1))
			c.Put = append(c.Put, softwire.Softwire{IPv4: p.Prefixes[0].Addr(), PortSet: set, B4: b4, BR: p.BR})
		}
	}
	if err := l.table.Apply(c); err != nil {
		l.Fatal(err)
	}
	if l.rec != nil {
		l.rec.Changed()
	}
}

// settle lets everything happen that does not wait for long.
func settle() {
	time.Sleep(10 * followPause)
	synctest.Wait()
}

// told requires the sets that the announcer was told since the last call.
func (l *lab) told(want ...string) {
	l.Helper()
	settle()
	if got := l.out.take(); !slices.Equal(got, want) {
		l.Errorf("told %q, want %q", got, want)
	}
}

// ends requires what the announcer was told last.
func (l *lab) ends(want string) {
	l.Helper()
	settle()
	if sets := l.out.take(); len(sets) == 0 || sets[len(sets)-1] != want {
		l.Errorf("told %q, want %q in the end", sets, want)
	}
}

// is requires the state of pool a.
func (l *lab) is(want State, reason string) {
	l.Helper()
	settle()
	p := l.gate.Stats().Pools[0]
	if p.State != want || !strings.Contains(p.Reason, reason) {
		l.Errorf("pool %s is %s (%s), want %s (%s)", p.Name, p.State, p.Reason, want, reason)
	}
}

// alarms requires the kinds of alarm.
func (l *lab) alarms(want ...AlarmKind) {
	l.Helper()
	settle()
	var got []AlarmKind
	for _, a := range l.gate.Stats().Alarms {
		got = append(got, a.Kind)
	}
	if !slices.Equal(got, want) {
		l.Errorf("alarms %v, want %v", got, want)
	}
}
