package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/memory"
)

// atOnce is a data plane that has everything at once.
type atOnce struct{ table *softwire.Table }

func (a atOnce) Apply(_ context.Context, c softwire.Change) error { return a.table.Apply(c) }
func (a atOnce) Changed()                                         {}
func (a atOnce) Wait(context.Context, ...softwire.Key) error      { return nil }
func (a atOnce) Holds(sw softwire.Softwire) bool {
	got, ok := a.table.Snapshot().Get(sw.Key())
	return ok && got == sw
}
func (a atOnce) Ready() <-chan struct{} {
	ready := make(chan struct{})
	close(ready)
	return ready
}

// fakePools remembers what it was asked, and fakeBackup writes what it is.
type fakePools struct{ asked []any }

func (f *fakePools) AddPool(_ context.Context, p pool.Pool) error {
	f.asked = append(f.asked, p)
	return nil
}
func (f *fakePools) RemovePool(_ context.Context, name string) error {
	f.asked = append(f.asked, "remove "+name)
	return nil
}
func (f *fakePools) DrainPool(_ context.Context, name string, drain bool) error {
	if name != "a" {
		return provision.ErrPool
	}
	f.asked = append(f.asked, drain)
	return nil
}

type fakeBackup struct {
	text string
	err  error
}

func (f *fakeBackup) Backup(_ context.Context, w io.Writer) error {
	if _, err := io.WriteString(w, f.text); err != nil {
		return err
	}
	return f.err
}

// lending is a router that lends the addresses of 192.0.2.0/30, 14 port sets
// each, in lots of four.
func lending(t *testing.T) (*api.Client, *Lending) { return lendingWith(t, &fakeBackup{}) }

func lendingWith(t *testing.T, b *fakeBackup) (*api.Client, *Lending) {
	t.Helper()
	pools := pool.Pools{{Name: "a", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")}, PSIDLen: 4, BR: netip.MustParseAddr("2001:db8:ffff::1")}}
	pools[0].SetDefaults()
	pools[0].Mechanisms = []pool.Mechanism{pool.Static, pool.DHCPv6}
	table, st := softwire.NewTable(), memory.New()
	p := provision.New(provision.DefaultConfig(), st, table, atOnce{table}, time.Now, quiet())
	if err := p.Load(t.Context(), pools); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{st.Run, p.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	l := &Lending{Leases: p, Pools: &fakePools{}, Backup: b}
	f := newFake(t, 1)
	f.lending = l
	c, _ := serve(t, f)
	return c, l
}

// subscriber is a lwB4 of a subscriber of its own.
func subscriber(i byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, i, 15: 1})
}

func TestLeaseLife(t *testing.T) {
	c, _ := lending(t)
	ctx := t.Context()
	ask := api.LeaseRequest{
		B4: subscriber(1), Mechanism: "dhcpv6", Lifetime: 3600,
		Attributes: map[string]string{"duid": "0001ff", "comment": "a CPE"},
	}
	offered, err := c.Offer(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Acquire(ctx, ask)
	if err != nil || got.Key != offered.Key || got.State != "bound" || got.B4 != subscriber(1) || got.Expires == nil {
		t.Fatalf("Acquire: %+v, %v; offered %+v", got, err, offered)
	}
	if diff := cmp.Diff(ask.Attributes, got.Attributes); diff != "" {
		t.Errorf("attributes: -sent +got:\n%s", diff)
	}
	if again, err := c.Acquire(ctx, ask); err != nil || again.Key != got.Key {
		t.Errorf("Acquire again: %+v, %v", again, err)
	}
	if renewed, err := c.Renew(ctx, ask); err != nil || renewed.Key != got.Key {
		t.Errorf("Renew: %+v, %v", renewed, err)
	}
	moved, err := c.Move(ctx, api.MoveRequest{From: got.Key, Want: &api.Key{IPv4: netip.MustParseAddr("192.0.2.2"), PSIDLen: 4, PSID: 9}})
	if err != nil || moved.PSID != 9 || moved.IPv4 != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("Move: %+v, %v", moved, err)
	}
	removed, err := c.Remove(ctx, api.RemoveRequest{Key: moved.Key, Reason: "test"})
	if err != nil || removed.State != "resting" || removed.HeldUntil == nil {
		t.Errorf("Remove: %+v, %v", removed, err)
	}
	if err := c.Release(ctx, ask); err != nil {
		t.Errorf("Release: %v", err)
	}
	if err := c.Release(ctx, ask); err != nil {
		t.Errorf("Release again: %v", err)
	}
}

func TestReservations(t *testing.T) {
	c, _ := lending(t)
	ctx := t.Context()
	mine := api.Key{IPv4: netip.MustParseAddr("192.0.2.1"), PSIDLen: 4, PSID: 7}
	ask := api.LeaseRequest{B4: subscriber(1), Mechanism: "dhcpv6", Want: &mine}
	if l, err := c.Reserve(ctx, ask); err != nil || !l.Reserved || l.Key != mine {
		t.Fatalf("Reserve: %+v, %v", l, err)
	}
	theirs := ask
	theirs.B4 = subscriber(2)
	if _, err := c.Reserve(ctx, theirs); !errors.Is(err, api.CodeTaken) {
		t.Errorf("Reserve for another: %v", err)
	}
	ask.Want = nil
	if l, err := c.Acquire(ctx, ask); err != nil || l.Key != mine {
		t.Errorf("Acquire of a reservation: %+v, %v", l, err)
	}
	if l, err := c.Unreserve(ctx, mine); err != nil || l.Reserved {
		t.Errorf("Unreserve: %+v, %v", l, err)
	}
}

// TestLeaseErrors: programs learn what is wrong from the code.
func TestLeaseErrors(t *testing.T) {
	c, _ := lending(t)
	ctx := t.Context()
	var last api.Lease
	for i := range byte(4 * 14) {
		l, err := c.Acquire(ctx, api.LeaseRequest{B4: subscriber(i), Mechanism: "dhcpv6"})
		if err != nil {
			t.Fatal(err)
		}
		last = l
	}
	tests := []struct {
		name   string
		err    func() error
		code   api.Code
		status int
	}{
		{"exhausted", func() error {
			_, err := c.Acquire(ctx, api.LeaseRequest{B4: subscriber(200), Mechanism: "dhcpv6"})
			return err
		}, api.CodeExhausted, http.StatusConflict},
		{"mechanism", func() error {
			_, err := c.Acquire(ctx, api.LeaseRequest{B4: subscriber(200), Mechanism: "pcp"})
			return err
		}, api.CodeMechanism, http.StatusConflict},
		{"quota", func() error {
			_, err := c.Acquire(ctx, api.LeaseRequest{B4: subscriber(1), Mechanism: "dhcpv6", Number: 1})
			return err
		}, api.CodeQuota, http.StatusConflict},
		{"unknown", func() error {
			_, err := c.Renew(ctx, api.LeaseRequest{B4: subscriber(200), Mechanism: "dhcpv6"})
			return err
		}, api.CodeUnknown, http.StatusNotFound},
		{"invalid", func() error {
			_, err := c.Acquire(ctx, api.LeaseRequest{B4: netip.MustParseAddr("192.0.2.1"), Mechanism: "dhcpv6"})
			return err
		}, api.CodeInvalid, http.StatusUnprocessableEntity},
		{"no such pool", func() error { return c.DrainPool(ctx, "b", true) }, api.CodeInvalid, http.StatusUnprocessableEntity},
		{"no lwB4", func() error {
			_, err := c.Acquire(ctx, api.LeaseRequest{Mechanism: "dhcpv6"})
			return err
		}, api.CodeInvalid, http.StatusUnprocessableEntity},
		{"attribute", func() error {
			_, err := c.Acquire(ctx, api.LeaseRequest{B4: subscriber(1), Mechanism: "dhcpv6", Attributes: map[string]string{"duid": "x"}})
			return err
		}, "", http.StatusBadRequest},
		{"not a port set", func() error {
			k := last.Key
			k.PSID = 16
			_, err := c.Remove(ctx, api.RemoveRequest{Key: k})
			return err
		}, "", http.StatusBadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e *api.Error
			if err := tt.err(); !errors.As(err, &e) || e.Status != tt.status || e.Code != tt.code || e.Message == "" {
				t.Errorf("got %v (%+v), want status %d, code %q", err, e, tt.status, tt.code)
			}
		})
	}
}

func TestLeaseList(t *testing.T) {
	c, _ := lending(t)
	for i := range byte(30) {
		if _, err := c.Acquire(t.Context(), api.LeaseRequest{B4: subscriber(i), Mechanism: "dhcpv6"}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		filter api.LeaseFilter
		want   int
	}{
		{"all", api.LeaseFilter{}, 30},
		{"address", api.LeaseFilter{IPv4: netip.MustParseAddr("192.0.2.1")}, 14},
		{"subscriber", api.LeaseFilter{Subscriber: subscriber(3)}, 1},
		{"stranger", api.LeaseFilter{Subscriber: subscriber(200)}, 0},
		{"pool", api.LeaseFilter{Pool: "a", Mechanism: "dhcpv6", State: "bound"}, 30},
		{"other pool", api.LeaseFilter{Pool: "b"}, 0},
		{"resting", api.LeaseFilter{State: "resting"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			for _, err := range c.Leases(t.Context(), tt.filter) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != tt.want {
				t.Errorf("%d leases, want %d", n, tt.want)
			}
		})
	}
}

func TestPools(t *testing.T) {
	c, l := lending(t)
	ctx := t.Context()
	err := errors.Join(
		c.AddPool(ctx, api.PoolRequest{Name: "b", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, PSIDLen: 6, BR: netip.MustParseAddr("2001:db8::1"), Mechanisms: []string{"pcp"}}),
		c.RemovePool(ctx, "b"), c.DrainPool(ctx, "a", true), c.DrainPool(ctx, "a", false))
	if err != nil {
		t.Fatal(err)
	}
	want := pool.Pool{Name: "b", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, PSIDLen: 6, BR: netip.MustParseAddr("2001:db8::1")}
	want.SetDefaults()
	want.Mechanisms = []pool.Mechanism{pool.PCP}
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff([]any{want, "remove b", true, false}, l.Pools.(*fakePools).asked, same, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

}

func TestBackup(t *testing.T) {
	fault := errors.New("no more")
	for _, tt := range []struct {
		name   string
		source fakeBackup
		check  func(got string, err error) bool
	}{
		{"whole", fakeBackup{"everything", nil}, func(got string, err error) bool { return got == "everything" && err == nil }},
		// A part must not look like the whole.
		{"half", fakeBackup{"everyth", fault}, func(_ string, err error) bool { return err != nil }},
		{"nothing", fakeBackup{"", fault}, func(got string, err error) bool { return got == "" && err != nil && err.Error() == "no more" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := lendingWith(t, &tt.source)
			var out bytes.Buffer
			if err := c.Backup(t.Context(), &out); !tt.check(out.String(), err) {
				t.Errorf("got %q, %v", &out, err)
			}
		})
	}
}

// TestWithoutLending: a router without a store says so.
func TestWithoutLending(t *testing.T) {
	c, _ := serve(t, newFake(t, 1))
	for _, err := range c.Leases(t.Context(), api.LeaseFilter{}) {
		var e *api.Error
		if !errors.As(err, &e) || e.Status != http.StatusNotImplemented {
			t.Errorf("Leases: %v", err)
		}
	}
	var e *api.Error
	if err := c.DrainPool(t.Context(), "a", true); !errors.As(err, &e) || e.Status != http.StatusNotImplemented {
		t.Errorf("DrainPool: %v", err)
	}
}
