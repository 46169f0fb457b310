package plugin

import (
	"context"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	vppports "github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// vppConfig is testConfig on a VPP whose sockets are in a folder.
func vppConfig(dir string) Config {
	c := testConfig(dir)
	c.Dataplane.Type = TypeVPP
	p := vpptest.PathsIn(dir)
	v := &c.Dataplane.VPP
	v.API, v.Stats, v.Punt = p.API, p.Stats, p.Punt
	return c
}

// TestOnVPP is the life of a router on VPP.
func TestOnVPP(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	p4, p6 := v.AddPort(), v.AddPort()
	before := v.CLI("show interface address")
	c := vppConfig(v.Dir())
	c.Dataplane.VPP.Interfaces.IPv4 = []vppports.Config{{
		Name: p4.Interface, Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}, NextHop: netip.MustParseAddr("198.51.100.2"),
	}}
	c.Dataplane.VPP.Interfaces.IPv6 = []vppports.Config{{Name: p6.Interface, VLAN: 9}}
	p, err := New(c, WithLogger(logger(t)))
	if err != nil {
		t.Fatal(err)
	}
	start(t, p)
	client := api.NewClient(c.Control.Socket)
	defer client.Close()

	status, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !status.Ready || len(status.Problems) > 0 || status.Softwires.Programmed != 2 || status.Dataplane.VPP == nil {
		t.Fatalf("status %+v", status)
	}
	if got := status.Dataplane.VPP; got.PID != v.PID() || got.Version == "" || got.AnswerSeconds <= 0 || len(got.Threads) != 1 || got.Heap.Total == 0 {
		t.Errorf("status of VPP %+v", got)
	}
	want := []api.Interface{{Name: p4.Interface, Side: "ipv4", Enabled: true, Link: true}, {Name: p6.Interface + ".9", Side: "ipv6", Enabled: true, Link: true}}
	if diff := cmp.Diff(want, status.Dataplane.VPP.Interfaces); diff != "" {
		t.Errorf("interfaces: -want +got:\n%s", diff)
	}
	counters, err := client.Counters(t.Context())
	if err != nil || counters.Granularity != "address" || len(counters.Devices) != 2 || counters.Devices[0].Name != p4.Interface {
		t.Errorf("counters %+v, %v", counters, err)
	}
	packet := netip.MustParseAddr("192.0.2.1").As4()
	trace, err := client.Trace(t.Context(), api.TraceRequest{Side: "ipv4", Packet: udp4([4]byte{203, 0, 113, 1}, packet, 2000)})
	if err != nil || len(trace.Sent) != 1 || !strings.Contains(strings.Join(trace.Steps, "\n"), "2001:db8::1") {
		t.Errorf("trace %+v, %v", trace, err)
	}

	v.CLI("set interface state %s down", p4.Interface)
	if status, err = client.Status(t.Context()); err != nil || !slices.ContainsFunc(status.Problems, func(s string) bool {
		return strings.Contains(s, "interface "+p4.Interface)
	}) {
		t.Errorf("with an interface down: %+v, %v", status, err)
	}
	v.CLI("set interface state %s up", p4.Interface)

	c.Dataplane.VPP.ICMPv4.Rate.Total = 7
	change, err := p.Reload(t.Context(), c)
	if diff := cmp.Diff(Change{Settings: []string{"dataplane.vpp.icmpv4.rate.total"}}, change); diff != "" || err != nil {
		t.Errorf("reload: %v, -want +got:\n%s", err, diff)
	}

	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	domains := v.CLI("show map domain")
	if !strings.Contains(domains, "192.0.2.1") {
		t.Errorf("nothing is left forwarding:\n%s", domains)
	}
	if err := c.Dataplane.Teardown(t.Context(), logger(t)); err != nil {
		t.Fatal(err)
	}
	if domains := v.CLI("show map domain"); strings.Contains(domains, "192.0.2.1") {
		t.Errorf("after a teardown:\n%s", domains)
	}
	if diff := cmp.Diff(before, v.CLI("show interface address")); diff != "" {
		t.Errorf("interfaces: -before +after:\n%s", diff)
	}
}

// udp4 is a datagram without payload from port 53.
func udp4(from, to [4]byte, port uint16) []byte {
	p := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}
	p = append(append(p, from[:]...), to[:]...)
	sum := uint32(0)
	for i := 0; i < len(p); i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	sum = ^(sum>>16 + sum&0xffff)
	p[10], p[11] = byte(sum>>8), byte(sum)
	return append(p, 0, 53, byte(port>>8), byte(port), 0, 8, 0, 0)
}

// TestVPPAbsent: the router starts without a VPP, and says what it waits for.
func TestVPPAbsent(t *testing.T) {
	c := vppConfig(testFolder(t))
	p, err := New(c, WithLogger(logger(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for problem := ""; !strings.Contains(problem, c.Dataplane.VPP.API); {
		status, err := p.Status(ctx)
		if err != nil || status.Ready || status.Dataplane.VPP != nil || len(status.Problems) != 1 || ctx.Err() != nil {
			t.Fatalf("status %+v, %v", status, err)
		}
		problem = status.Problems[0]
	}
	if err := c.Dataplane.Teardown(t.Context(), logger(t)); err == nil || !strings.Contains(err.Error(), c.Dataplane.VPP.API) {
		t.Errorf("teardown: %v", err)
	}
}

// TestVPPCannot: what VPP can never have is refused before it is asked, and the
// forwarder takes it.
func TestVPPCannot(t *testing.T) {
	text := strings.Replace(good, "    - {binding-ipv4-addr: 198.51.100.1,", `    - {binding-ipv4-addr: 192.0.2.1, psid: 2, binding-ipv6info: 2001:db8::3, br-ipv6-addr: 2001:db8:ffff::7}
    - {binding-ipv4-addr: 192.0.2.1, psid: 3, binding-ipv6info: 2001:db8::3}
    - {binding-ipv4-addr: 198.51.100.1,`, 1)
	if _, err := load(t, text); err != nil {
		t.Fatal(err)
	}
	_, err := load(t, strings.Replace(text, "type: forwarder", "type: vpp", 1))
	if err == nil || strings.Count(err.Error(), "VPP does not support") != 1 || !strings.Contains(err.Error(), "psid 0/6/2") || !strings.Contains(err.Error(), ":11: softwires: ") {
		t.Errorf("error %v", err)
	}
}

// TestVPPReload: what VPP was given when it was connected is refused by name,
// and everything else is taken.
func TestVPPReload(t *testing.T) {
	c := vppConfig(filepath.Join("/nonexistent", "vpp"))
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var free []string
	for _, key := range config.Keys(reflect.TypeFor[VPPConfig]()) {
		at := "dataplane.vpp." + key.Path
		if key.Leaf && p.changeable([]string{at}) == nil {
			free = append(free, key.Path)
		}
	}
	if diff := cmp.Diff(tunable(), free); diff != "" {
		t.Errorf("what can change: -want +got:\n%s", diff)
	}
	for key, change := range map[string]func(*VPPConfig){
		"tunnel-mtu":      func(c *VPPConfig) { c.TunnelMTU = 1540 },
		"interfaces.ipv4": func(c *VPPConfig) { c.Interfaces.IPv4 = []vppports.Config{{Name: "x"}} },
	} {
		changed := c
		change(&changed.Dataplane.VPP)
		err = p.changeable(config.Changed(c, changed))
		if all := element.Each(err); len(all) != 1 || all[0].Error() != "dataplane.vpp."+key+": cannot change while the router runs; restart it" {
			t.Errorf("a changed %s: %v", key, err)
		}
	}
}
