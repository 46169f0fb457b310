package plugin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// freePort is an address that nobody listens on.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

// scrape is what a GET of the metrics' address answers.
func scrape(t *testing.T, at netip.AddrPort, path string) (int, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s%s", at, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// TestMetrics: what happens in a router is seen at its own address and over the
// control API, and nothing names a subscriber.
func TestMetrics(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	c.Metrics.Listen = freePort(t)
	p, stop := runWith(t, c, dp, WithName("m"), WithVersion("v7"))
	newLwB4(t, dp, "2001:db8:1::b4").granted()
	newLwB4(t, dp, "2001:db8:ffff::1").refused(pcpmsg.NotAuthorized)

	code, body := scrape(t, c.Metrics.Listen, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	for _, want := range []string{
		`lw4o6_build_info{router="m",version="v7"} 1`,
		`lw4o6_ready{router="m"} 1`,
		`lw4o6_softwires{router="m",state="programmed"} 3`,
		`lw4o6_pool_softwires{pool="p",router="m",state="programmed"} 3`,
		`lw4o6_pool_port_sets{pool="p",router="m"} 16384`,
		`lw4o6_pool_leases{pool="p",router="m",state="bound"} 3`,
		`lw4o6_requests_total{mechanism="pcp",result="granted",router="m"} 1`,
		`lw4o6_requests_total{mechanism="pcp",result="invalid",router="m"} 1`,
		`lw4o6_request_duration_seconds_count{mechanism="pcp",router="m"} 2`,
		`lw4o6_lease_changes_total{change="granted",router="m"} 1`,
		`lw4o6_pcp_answers_total{result="SUCCESS",router="m"} 1`,
		`lw4o6_pcp_answers_total{result="NOT_AUTHORIZED",router="m"} 1`,
		`lw4o6_store_write_duration_seconds_count{router="m"}`,
		`lw4o6_counters_readable{router="m"} 1`,
		`lw4o6_history_failing{router="m"} 0`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("missing %s", want)
		}
	}
	if strings.Contains(body, "2001:db8:") || strings.Contains(body, "192.0.2.") {
		t.Error("an address is among the metrics")
	}
	if code, _ := scrape(t, c.Metrics.Listen, "/v1/status"); code != http.StatusNotFound {
		t.Errorf("the control API at the metrics' address: %d", code)
	}
	client := api.NewClient(c.Control.Socket)
	defer client.Close()
	var over bytes.Buffer
	if err := client.Metrics(t.Context(), &over); err != nil || !strings.Contains(over.String(), `lw4o6_ready{router="m"} 1`) {
		t.Errorf("over the control API: %v\n%s", err, &over)
	}

	registry := prometheus.NewRegistry()
	if err := registry.Register(p.Metrics()); err != nil {
		t.Fatal(err)
	}
	stop()
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Errorf("after the end: %d families, %v", len(families), err)
	}
}

// TestMetricsWithoutADataplane: a scrape does not wait for one.
func TestMetricsWithoutADataplane(t *testing.T) {
	dp := newTestDataplane()
	p := newPlugin(t, testConfig(testFolder(t)), dp)
	start(t, p)
	dp.Disconnect("injected")
	if r := p.read(context.Background()); r.Traffic != nil || r.Started.IsZero() {
		t.Errorf("got %+v", r)
	}
}
