package portsets

import (
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func TestGauge(t *testing.T) {
	all := assign.Ports{IPv4: address}
	for _, psid := range []uint16{1, 2} {
		set, err := portset.Of(0, 6, psid)
		if err != nil {
			t.Fatal(err)
		}
		all.Sets = append(all.Sets, set)
	}
	one := assign.Ports{IPv4: address, Sets: all.Sets[:1]}
	g := &Gauge{MoreAt: 0.8, Idle: 10 * time.Minute}
	now := time.Unix(1_000_000, 0)
	observe := func(after time.Duration, ports assign.Ports, exhausted uint64, used ...int) Advice {
		now = now.Add(after)
		return g.Observe(now, Reading{Ports: ports, Used: used, Exhausted: exhausted})
	}
	for _, row := range []struct {
		what      string
		after     time.Duration
		ports     assign.Ports
		exhausted uint64
		used      []int
		more      bool
		draining  bool
		giveBack  bool
	}{
		{what: "little", ports: one, used: []int{100}},
		{what: "much", ports: one, used: []int{820}, more: true},
		{what: "a connection that there was no port for", ports: one, exhausted: 1, used: []int{500}, more: true},
		{what: "no more of these", ports: one, exhausted: 1, used: []int{500}},
		{what: "two sets, needed", ports: all, exhausted: 1, used: []int{300, 300}},
		{what: "not needed", ports: all, exhausted: 1, used: []int{100, 50}},
		{what: "not for long", after: 9 * time.Minute, ports: all, exhausted: 1, used: []int{100, 50}},
		{what: "needed in between", ports: all, exhausted: 1, used: []int{400, 50}},
		{what: "not needed again", ports: all, exhausted: 1, used: []int{100, 50}},
		{what: "for long", after: 10 * time.Minute, ports: all, exhausted: 1, used: []int{100, 50}, draining: true},
		{what: "still in use", ports: all, exhausted: 1, used: []int{150, 1}, draining: true},
		{what: "needed after all", ports: all, exhausted: 1, used: []int{900, 1}},
		{what: "not needed once more", ports: all, exhausted: 1, used: []int{0, 0}},
		{what: "drained", after: 10 * time.Minute, ports: all, exhausted: 1, used: []int{0, 0}, draining: true},
		{what: "given back", ports: all, exhausted: 1, used: []int{0, 0}, draining: true, giveBack: true},
		{what: "gone", ports: one, exhausted: 1, used: []int{0}},
		{what: "nothing held", ports: assign.Ports{}, exhausted: 1},
	} {
		before := len(g.Closed())
		a := observe(row.after, row.ports, row.exhausted, row.used...)
		if a.More != row.more || (g.draining != nil) != row.draining || (a.GiveBack != nil) != row.giveBack {
			t.Fatalf("%s: %+v, closed %v", row.what, a, g.Closed())
		}
		if a.Changed != (before != len(g.Closed())) {
			t.Errorf("%s: changed %t", row.what, a.Changed)
		}
	}
}

// TestFullSetsAreLeftAlone: while there is another one.
func TestFullSetsAreLeftAlone(t *testing.T) {
	ports := assign.Ports{IPv4: address}
	for _, psid := range []uint16{1, 2} {
		set, err := portset.Of(0, 6, psid)
		if err != nil {
			t.Fatal(err)
		}
		ports.Sets = append(ports.Sets, set)
	}
	g := &Gauge{MoreAt: 1, Idle: time.Hour}
	for _, row := range []struct {
		used []int
		want int // sets that are closed
	}{
		{[]int{900, 100}, 0}, {[]int{930, 100}, 1}, {[]int{800, 100}, 1}, {[]int{1024, 1000}, 0},
		{[]int{1024, 800}, 1}, {[]int{700, 800}, 0},
	} {
		g.Observe(time.Unix(1_000_000, 0), Reading{Ports: ports, Used: row.used})
		if got := len(g.Closed()); got != row.want {
			t.Errorf("with %v in use %d sets are closed, want %d", row.used, got, row.want)
		}
	}
}
