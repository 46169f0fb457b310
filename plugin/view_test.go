package plugin

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func mustTable(t *testing.T, c Config) *softwire.Snapshot {
	t.Helper()
	table, err := loadTable(t.Context(), c, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return table.Snapshot()
}

// TestControlSocket asks a running Plugin everything over its socket.
func TestControlSocket(t *testing.T) {
	dp := newTestDataplane()
	c := testConfig(testFolder(t))
	path := filepath.Join(testFolder(t), "bad.yaml")
	if err := os.WriteFile(path, []byte("pools: 1\nlog: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPlugin(t, c, dp, WithVersion("v1"), WithFile(&File{Path: path}))
	start(t, p)
	key := softwire.Key{}
	for s := range mustTable(t, c).All() {
		key = s.Key() // the last one
	}
	dp.SetCounters(dataplane.Counters{
		Granularity: dataplane.PerSoftwire, Encapsulated: dataplane.Traffic{Packets: 1, Bytes: 2},
		Events: []dataplane.Event{{Name: "drop-x", Drop: true, Packets: 3}},
	}, dataplane.SoftwireCounters{Key: key, ToB4: dataplane.Traffic{Packets: 4}})
	client := api.NewClient(c.Control.Socket)
	defer client.Close()
	ctx := t.Context()

	status, err := client.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status.Softwires.LastSync == nil || status.Started.IsZero() {
		t.Errorf("times are missing: %+v", status)
	}
	status.Softwires.LastSync, status.Started = nil, p.Stats().Started
	want := api.Status{
		Name: "lw4o6", Version: "v1", Ready: true, Started: p.Stats().Started,
		Dataplane: api.Dataplane{Name: "fake", State: "up", Incarnation: 1},
		Softwires: api.Progress{Desired: 2, Programmed: 2},
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status: -want +got:\n%s", diff)
	}

	counters, err := client.Counters(ctx)
	if err != nil || counters.Granularity != "softwire" || counters.Encapsulated.Bytes != 2 || len(counters.Events) != 1 {
		t.Errorf("counters: %+v, %v", counters, err)
	}
	pools, err := client.Pools(ctx)
	if err != nil || len(pools) != 1 || pools[0].Capacity != 256*64 || pools[0].Softwires != 2 {
		t.Errorf("pools: %+v, %v", pools, err)
	}
	var shown []api.Softwire
	for s, err := range client.Softwires(ctx, api.SoftwireFilter{Counters: true}) {
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, s)
	}
	if len(shown) != 2 || shown[0].ToB4 != nil || shown[1].ToB4 == nil || shown[1].ToB4.Packets != 4 || shown[1].CountersOf != "softwire" {
		t.Errorf("softwires: %+v", shown)
	}
	dp.SetCounters(dataplane.Counters{Granularity: dataplane.PerAddress},
		dataplane.SoftwireCounters{Key: softwire.Key{IPv4: key.IPv4}, ToB4: dataplane.Traffic{Packets: 5}})
	for s, err := range client.Softwires(ctx, api.SoftwireFilter{Counters: true}) {
		if err != nil || s.ToB4 == nil || s.ToB4.Packets != 5 || s.CountersOf != "address" {
			t.Errorf("softwire counted by its address: %+v, %v", s, err)
		}
	}

	var e *api.Error
	if _, err := client.Trace(ctx, api.TraceRequest{Side: "ipv4", Packet: []byte{1}}); !errors.As(err, &e) || e.Status != 501 {
		t.Errorf("trace on a data plane that cannot: %v", err)
	}
	if _, err := client.Reload(ctx); !errors.As(err, &e) || len(e.Details) != 2 || !strings.HasPrefix(e.Details[0], path+":1: pools: is a single value") {
		t.Errorf("reload of a bad file: %v, %+v", err, e)
	}
	untouched(t, p, dp)
}

func TestStatusSaysWhatIsWrong(t *testing.T) {
	dp := newTestDataplane()
	cause := errors.New("no room")
	dp.OnOp = func(op dataplane.Op) dataplane.Result {
		if op.Softwire.PortSet.PSID() == 2 {
			return dataplane.Result{Outcome: dataplane.Unsupported, Err: cause}
		}
		return dataplane.Result{}
	}
	p := newPlugin(t, testConfig(testFolder(t)), dp)
	start(t, p)
	run, err := p.present()
	if err != nil {
		t.Fatal(err)
	}
	status, err := p.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status.Softwires.Unsupported != 1 || len(status.Problems) != 1 || status.Problems[0] != "put of softwire 192.0.2.1 psid 0/6/2: no room" {
		t.Errorf("%+v", status)
	}
	client := api.NewClient(p.config.Control.Socket)
	defer client.Close()
	for s, err := range client.Softwires(t.Context(), api.SoftwireFilter{Problems: true}) {
		if err != nil || s.PSID != 2 || s.Problem != "no room" {
			t.Errorf("softwire with a problem: %+v, %v", s, err)
		}
	}
	dp.Disconnect("cable")
	eventually(t, p, func() error {
		status, err := p.Status(t.Context())
		if err != nil {
			return err
		}
		if len(status.Problems) == 0 || status.Problems[0] != "the data plane is down: cable" {
			return errors.New(strings.Join(status.Problems, "; "))
		}
		return nil
	})
	if _, err := p.view(run).Counters.Counters(context.Background()); err == nil {
		t.Error("counters of a data plane that is gone")
	}
}

// TestNetworkOf: BR addresses of softwires count besides those of pools.
func TestNetworkOf(t *testing.T) {
	c := testConfig("/run")
	c.Softwires.Static[0].BR = netip.MustParseAddr("2001:db8:ffff::0")
	n := networkOf(c, mustTable(t, c))
	want := []netip.Addr{netip.MustParseAddr("2001:db8:ffff::"), netip.MustParseAddr("2001:db8:ffff::1")}
	if len(n.BRs) != 2 || n.BRs[0] != want[0] || n.BRs[1] != want[1] {
		t.Errorf("BR addresses %v, want %v", n.BRs, want)
	}
}
