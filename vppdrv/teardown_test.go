package vppdrv

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// contents is what VPP has of the kinds of things that a Driver makes.
func contents(v *vpptest.VPP) string {
	all := ""
	for _, command := range []string{
		"show interface address", "show ip table", "show ip6 table", "show ip fib", "show ip6 fib",
		"show map domain", "show classify tables", "show punt socket registrations ip",
	} {
		all += command + "\n" + v.CLI("%s", command)
	}
	return all
}

// TestTeardown: everything goes that the Driver made, with what was listed for
// interfaces, and what others made stays.
func TestTeardown(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	p4, p6 := v.AddPort(), v.AddPort()
	v.Lines(`
		map add domain tag somebody ip4-pfx 198.51.100.1/32 ip6-pfx ::/128 ip6-src 2001:db8::9/128 ea-bits-len 0 psid-offset 0 psid-len 4 mtu 1500
		create loopback interface instance 77
		ip table add 77
		set interface ip address ` + p6.Interface + ` 2001:db8:77::1/64`)
	before := contents(v)

	c := testConfig(v)
	c.Interfaces.IPv4 = []ports.Config{{
		Name: p4.Interface, VLAN: 7, Addresses: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/24")}, NextHop: addr("198.18.0.2"),
	}}
	c.Interfaces.IPv6 = []ports.Config{{
		Name: p6.Interface, Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db9::1/64")}, NextHop: addr("2001:db9::2"),
	}}
	d, err := New(c, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Driver: d, vpp: v}
	b.run(t, d)
	b.up(t)
	if err := d.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	apply(t, d, puts(table(130)))
	b.inspected(t, c)
	b.stop()
	if contents(v) == before {
		t.Error("nothing was made")
	}
	for range 2 {
		if err := d.Teardown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, contents(v)); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	}
}

// inspected: Inspect says what is known of this VPP otherwise.
func (b *bench) inspected(t *testing.T, c Config) {
	t.Helper()
	i, err := b.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i.PID != b.vpp.PID() || !strings.Contains(b.vpp.CLI("show version"), i.Version) || i.Version == "" {
		t.Errorf("pid %d and version %q, want pid %d", i.PID, i.Version, b.vpp.PID())
	}
	if i.Answer <= 0 || i.Answer > time.Minute || time.Since(i.Started) > time.Hour || len(i.Threads) != 1 || i.Heap.Total == 0 || i.Statistics.Total == 0 {
		t.Errorf("%+v", i)
	}
	var names []string
	for _, p := range i.Ports {
		names = append(names, p.Name)
		if !p.Admin || !p.Link {
			t.Errorf("%s: %+v, and it is up", p.Name, p.State)
		}
	}
	want := []string{c.Interfaces.IPv4[0].Interface(), c.Interfaces.IPv6[0].Interface()}
	if !slices.Equal(names, want) || i.Ports[0].Side != dataplane.SideIPv4 || i.Ports[1].Side != dataplane.SideIPv6 {
		t.Errorf("interfaces %+v, want %v", i.Ports, want)
	}
}

// TestInspectNothing: without VPP there is nothing to inspect or to tear down.
func TestInspectNothing(t *testing.T) {
	c := DefaultConfig()
	c.API, c.Exceptions = "/nonexistent/api.sock", "/nonexistent/exceptions.sock"
	d, err := New(c, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Inspect(t.Context()); !errors.Is(err, ErrNotConnected) {
		t.Errorf("Inspect: %v", err)
	}
	if err := d.Teardown(t.Context()); err == nil || !strings.Contains(err.Error(), "/nonexistent/api.sock") {
		t.Errorf("Teardown: %v", err)
	}
}
