package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeRouter answers with what it is given.
type fakeRouter struct {
	table    *softwire.Table
	err      error // of every call
	traced   []byte
	side     dataplane.Side
	counted  []int    // keys of each call of EachSoftwire
	troubled []string // what is wrong
	problems map[softwire.Key]string
	resynced int
	reset    int // epochs of PCP
	lending  *Lending
	past     *history.Log // nil for none

	announcing Announcing
}

func (f *fakeRouter) router() Router {
	return Router{Status: f, Table: f.table, Counters: f, Problems: f, Tracer: f, Reloader: f, Resyncer: f, History: f, Lending: f.lending, PCP: f, Announcing: f.announcing, Log: f,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "up 1") })}
}

func (f *fakeRouter) SetLogLevel(level string) error {
	if level != "debug" {
		return fmt.Errorf("level: %q is none", level)
	}
	return nil
}

func (f *fakeRouter) Status(context.Context) (api.Status, error) {
	return api.Status{Name: "test", Ready: true, Problems: f.troubled, Softwires: api.Progress{Desired: f.table.Snapshot().Len()}}, f.err
}

func (f *fakeRouter) Pools(context.Context) ([]api.Pool, error) {
	return []api.Pool{{Name: "a", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}, f.err
}

func (f *fakeRouter) Counters(context.Context) (api.Counters, error) {
	return api.Counters{Encapsulated: api.Traffic{Packets: 3, Bytes: 300}}, f.err
}

func (f *fakeRouter) EachSoftwire(_ context.Context, keys []softwire.Key, visit func(int, dataplane.SoftwireCounters)) error {
	f.counted = append(f.counted, len(keys))
	for i, key := range keys {
		n := uint64(key.PortSet.PSID())
		visit(i, dataplane.SoftwireCounters{Key: key, ToB4: dataplane.Traffic{Packets: n}, FromB4: dataplane.Traffic{Bytes: n}})
	}
	return f.err
}

func (f *fakeRouter) Problem(key softwire.Key) string { return f.problems[key] }

func (f *fakeRouter) Trace(_ context.Context, side dataplane.Side, packet []byte) (api.Trace, error) {
	f.side, f.traced = side, packet
	return api.Trace{Steps: []string{"a step"}, Sent: []api.Packet{{Side: "ipv6", Packet: []byte{1}}}}, f.err
}

func (f *fakeRouter) Reload(context.Context) (api.ReloadResult, error) {
	return api.ReloadResult{Put: 1}, f.err
}

func (f *fakeRouter) Resync() { f.resynced++ }

func (f *fakeRouter) ResetPCP(context.Context) error {
	f.reset++
	return f.err
}

func (f *fakeRouter) View(context.Context) (*history.View, error) {
	if f.past == nil {
		return nil, ErrNoHistory
	}
	return f.past.View(), nil
}

// newFake has n softwires, ten on each address; every third is of lwB4 2001:db8::1.
func newFake(t *testing.T, n int) *fakeRouter {
	t.Helper()
	f := &fakeRouter{table: softwire.NewTable()}
	var c softwire.Change
	for i := range n {
		set, err := portset.Of(6, 8, uint16(i%10))
		if err != nil {
			t.Fatal(err)
		}
		b4 := fmt.Sprintf("2001:db8::b4:%x", i)
		if i%3 == 0 {
			b4 = "2001:db8::1"
		}
		c.Put = append(c.Put, softwire.Softwire{
			IPv4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 10)}), PortSet: set,
			B4: netip.MustParseAddr(b4), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		})
	}
	if err := f.table.Apply(c); err != nil {
		t.Fatal(err)
	}
	return f
}

// serve runs a server for f and returns a client of it and its socket.
func serve(t *testing.T, f *fakeRouter) (*api.Client, string) {
	t.Helper()
	// t.TempDir can be longer than a socket's path may be.
	dir, err := os.MkdirTemp("", "lw4o6")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "control.sock")
	l, err := ListenSocket(t.Context(), Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(t.Output())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(f.router(), DefaultConfig().Rate, log).Run(ctx, l) }()
	client := api.NewClient(path)
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there after Run: %v", err)
		}
	})
	return client, path
}
