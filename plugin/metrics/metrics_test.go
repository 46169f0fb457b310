package metrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/histogram"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/provision/clock"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// everything is a router that has all that a router can have.
func everything() Reading {
	var h histogram.Histogram
	h.Observe(2 * time.Millisecond)
	h.Observe(time.Minute)
	when := time.Unix(1_700_000_000, 0)
	var granted provision.Requests
	granted.Mechanism, granted.Time = pool.PCP, h.Read()
	granted.Results[provision.Granted], granted.Results[provision.NotProgrammed] = 7, 2
	return Reading{
		Version: "v1", Ready: true, Started: when,
		Softwires: reconcile.Stats{
			Dataplane: "fake", Health: dataplane.Health{State: dataplane.StateUp, Incarnation: 1},
			Desired: 10, Programmed: 8, Pending: 1, Refused: 1, Withheld: 3, Lag: 1500 * time.Millisecond,
			LastSync: when, LastVerified: when, Configured: true,
			Totals: reconcile.Totals{Batches: 4, LostBatches: 1, Ops: 12, Retries: 2, Syncs: 3}, ApplyTimes: h.Read(),
		},
		Pools: []Pool{{Name: "a", Capacity: 64, Desired: 10, Programmed: 8}},
		Traffic: &dataplane.Counters{
			Encapsulated: dataplane.Traffic{Packets: 5, Bytes: 500},
			Events: []dataplane.Event{
				{Name: "drop-ttl", Drop: true, Packets: 6}, {Name: "exception-pcp", Packets: 7}, {Name: "reassembled", Packets: 8},
			},
		},
		Devices: []Device{{Name: "eth0", Received: dataplane.Traffic{Packets: 1}, Drops: []dataplane.Event{{Name: "ring", Packets: 2}}}},
		Leases: &provision.Stats{
			Pools:    []lease.PoolStats{{Pool: "a", Draining: true, Counts: lease.Counts{Lendable: 40, Bound: 9, Leaving: 1, Resting: 5, Reserved: 2}}},
			Doubtful: 1, Unconfirmed: 2, Ending: 3, Requests: []provision.Requests{granted},
			Totals: provision.Totals{Granted: 7, Expired: 1},
			Store:  store.Stats{Leases: 15, Outbox: 4, Batches: 5, Transactions: 3, Fsyncs: 6, Failures: 1, WriteTimes: h.Read(), Err: errors.New("full")},
			Clock:  clock.Fault{Ahead: -2 * time.Second, Leap: true},
		},
		History: &history.Stats{Runs: 2, Records: 9, Journal: 3, Bytes: 100},
		PCP:     &PCP{Answered: map[string]uint64{"SUCCESS": 4, "NO_RESOURCES": 1}, Dropped: 2, Unsent: 3},
		DHCPv6: &DHCPv6{
			Events: []dataplane.Event{{Name: "solicits", Packets: 5}},
			Pools:  []PrefixPool{{Name: "d", Size: 256, Bound: 3, Fresh: 250}}, Granted: 4, Expired: 1, Owing: 2,
		},
		Announce: &announce.Stats{
			Pools:  []announce.PoolStatus{{Name: "a", State: announce.HoldDown, Withdrawals: 2, Holds: 1}},
			Routes: []announce.RouteStatus{{Announced: true}, {Reason: "waiting"}, {Reason: "waiting"}},
			Alarms: []announce.Alarm{{Kind: announce.AlarmLag}, {Kind: announce.AlarmHeld}, {Kind: announce.AlarmHeld}},
		},
		Peers: []Peer{{Name: "transit", Established: true, Sessions: 3, Flaps: 2, Starts: 1, Announced: 4, Withheld: 1}},
	}
}

func always(r Reading) func(context.Context) Reading {
	return func(context.Context) Reading { return r }
}

// gather is every time series as text, such as name{label="value"} 1, but those
// of histograms.
func gather(t *testing.T, collectors ...prometheus.Collector) map[string]bool {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			all[fmt.Sprintf("%s{%s} %g", f.GetName(), strings.Join(labels, ","), value)] = true
		}
	}
	return all
}

func TestCollect(t *testing.T) {
	got := gather(t, NewCollector("r", always(everything())))
	for _, want := range []string{
		`lw4o6_running{router="r"} 1`,
		`lw4o6_build_info{router="r",version="v1"} 1`,
		`lw4o6_start_time_seconds{router="r"} 1.7e+09`,
		`lw4o6_dataplane_up{dataplane="fake",router="r"} 1`,
		`lw4o6_softwires{router="r",state="programmed"} 8`,
		`lw4o6_softwires{router="r",state="missing"} 2`,
		`lw4o6_softwire_changes{router="r",state="withheld"} 3`,
		`lw4o6_pool_softwires{pool="a",router="r",state="missing"} 2`,
		`lw4o6_programming_lag_seconds{router="r"} 1.5`,
		`lw4o6_programming_duration_seconds{router="r"} 2`,
		`lw4o6_packets_total{direction="encapsulated",router="r"} 5`,
		`lw4o6_drops_total{cause="drop-ttl",router="r"} 6`,
		`lw4o6_exceptions_total{event="exception-pcp",router="r"} 7`,
		`lw4o6_events_total{event="reassembled",router="r"} 8`,
		`lw4o6_device_drops_total{cause="ring",device="eth0",router="r"} 2`,
		`lw4o6_pool_leases{pool="a",router="r",state="resting"} 5`,
		`lw4o6_pool_utilization_ratio{pool="a",router="r"} 0.25`,
		`lw4o6_requests_total{mechanism="pcp",result="granted",router="r"} 7`,
		`lw4o6_requests_total{mechanism="pcp",result="not-programmed",router="r"} 2`,
		`lw4o6_request_duration_seconds{mechanism="pcp",router="r"} 2`,
		`lw4o6_lease_changes_total{change="expired",router="r"} 1`,
		`lw4o6_clock_ahead_seconds{router="r"} -2`,
		`lw4o6_store_failing{router="r"} 1`,
		`lw4o6_store_fsyncs_total{router="r"} 6`,
		`lw4o6_history_files{router="r"} 2`,
		`lw4o6_pcp_answers_total{result="SUCCESS",router="r"} 4`,
		`lw4o6_dhcpv6_events_total{event="solicits",router="r"} 5`,
		`lw4o6_dhcpv6_pool_prefixes{pool="d",router="r",state="fresh"} 250`,
		`lw4o6_bgp_peer_up{peer="transit",router="r"} 1`,
		`lw4o6_bgp_peer_routes{peer="transit",router="r",state="withheld"} 1`,
		`lw4o6_bgp_routes{router="r",state="withheld"} 2`,
		`lw4o6_bgp_pool_state{pool="a",router="r",state="hold-down"} 1`,
		`lw4o6_bgp_pool_state{pool="a",router="r",state="announced"} 0`,
		`lw4o6_bgp_alarms{kind="held",router="r"} 2`,
		`lw4o6_bgp_alarms{kind="state",router="r"} 0`,
	} {
		if !got[want] {
			t.Errorf("missing: %s", want)
		}
	}
	all := slices.Sorted(maps.Keys(got))
	if t.Failed() {
		t.Log(strings.Join(all, "\n"))
	}
	// Every family is there for such a router.
	for _, f := range Families() {
		if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, f.Name+"{") }) {
			t.Errorf("%s is never collected", f.Name)
		}
	}
}

// TestNotRunning: only that is said of a router that does not run.
func TestNotRunning(t *testing.T) {
	got := gather(t, NewCollector("r", always(Reading{Version: "v1"})))
	if len(got) != 2 || !got[`lw4o6_running{router="r"} 0`] || !got[`lw4o6_build_info{router="r",version="v1"} 1`] {
		t.Errorf("got %v", got)
	}
}

// TestLeastRouter: a router without leases and with a data plane that does not
// answer.
func TestLeastRouter(t *testing.T) {
	got := gather(t, NewCollector("r", always(Reading{Started: time.Unix(1, 0)})))
	if !got[`lw4o6_counters_readable{router="r"} 0`] || !got[`lw4o6_dataplane_up{dataplane="",router="r"} 0`] {
		t.Errorf("got %v", got)
	}
	for series := range got {
		for _, part := range []string{"lw4o6_pool", "lw4o6_store", "lw4o6_history", "lw4o6_pcp", "lw4o6_dhcpv6", "lw4o6_bgp", "lw4o6_drops", "lw4o6_last"} {
			if strings.HasPrefix(series, part) {
				t.Errorf("unexpected %s", series)
			}
		}
	}
}

// TestTwoRouters: two collectors of routers with different names go into one
// registry, and two of one name do not.
func TestTwoRouters(t *testing.T) {
	a, b := NewCollector("a", always(everything())), NewCollector("b", always(Reading{}))
	if got := gather(t, a, b); !got[`lw4o6_running{router="a"} 1`] || !got[`lw4o6_running{router="b"} 0`] {
		t.Errorf("got %v", got)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(a)
	if err := registry.Register(NewCollector("a", always(Reading{}))); err == nil {
		t.Error("two collectors of the same router were taken")
	}
}

func TestLint(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector("r", always(everything())))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	// The linter finds what is wrong.
	bad, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{{Name: new("lw4o6_drops"), Help: new("x"), Type: dto.MetricType_COUNTER.Enum()}}).Lint()
	if err != nil || len(bad) == 0 {
		t.Errorf("a counter without _total: %v, %v", bad, err)
	}
}

// TestCardinality: how many series there are depends on the configuration alone,
// and labels are none that name a subscriber.
func TestCardinality(t *testing.T) {
	r := everything()
	before := len(gather(t, NewCollector("r", always(r))))
	r.Softwires.Desired, r.Softwires.Programmed, r.Leases.Store.Leases = 1_000_000, 1_000_000, 1_000_000
	r.Leases.Pools[0].Bound = 1_000_000
	if after := len(gather(t, NewCollector("r", always(r)))); after != before {
		t.Errorf("%d series with few softwires, %d with many", before, after)
	}
	known := []string{"version", "dataplane", "state", "pool", "direction", "cause", "event", "device", "mechanism", "result", "change", "peer", "kind"}
	for _, f := range Families() {
		for _, l := range f.Labels {
			if !slices.Contains(known, l) {
				t.Errorf("%s has the label %s; think of how many values it has, and add it here", f.Name, l)
			}
		}
	}
}

func TestHandler(t *testing.T) {
	h, err := Handler(NewCollector("r", always(everything())))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	for _, want := range []string{
		`lw4o6_request_duration_seconds_bucket{mechanism="pcp",router="r",le="0.003"} 1`,
		`lw4o6_request_duration_seconds_bucket{mechanism="pcp",router="r",le="+Inf"} 2`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("missing %s", want)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool on the PATH (Debian package prometheus)")
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
