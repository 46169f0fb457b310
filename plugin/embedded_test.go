package plugin

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func newTestEmbedded(t *testing.T, c DataplaneConfig) *embedded {
	t.Helper()
	e, err := newEmbedded(c.Forwarder, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEmbeddedWithoutDevices(t *testing.T) {
	c := DefaultConfig().Dataplane
	e := newTestEmbedded(t, c)
	ctx := t.Context()
	n := dataplane.Network{Pools: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, BRs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}
	if err := e.Configure(ctx, n); !errors.Is(err, errNoPort) {
		t.Errorf("Configure: %v", err)
	}
	if err := e.Run(ctx); !errors.Is(err, errNoPort) {
		t.Errorf("Run: %v", err)
	}
	if err := e.ports.Send(ctx, dataplane.SideIPv4, nil); !errors.Is(err, errNoPort) {
		t.Errorf("Send: %v", err)
	}
	if d, err := e.Devices(ctx); d != nil || err != nil {
		t.Errorf("Devices: %+v, %v", d, err)
	}
	e.Close() // does nothing
}

func TestEmbeddedTune(t *testing.T) {
	c := DefaultConfig().Dataplane
	e := newTestEmbedded(t, c)
	want := []string{"forwarder.io", "forwarder.exception-queue", "forwarder.ipv4-mtu", "forwarder.tunnel-mtu"}
	if got := e.Fixed(); !slices.Equal(got, want) {
		t.Errorf("with TUN devices %v is fixed, want %v", got, want)
	}
	c.Forwarder.HopLimit = 0
	var bad *element.Error
	if err := e.Tune(c); !errors.As(err, &bad) || bad.Path != "hop-limit" {
		t.Errorf("Tune with a bad value: %v", err)
	}
	c.Forwarder.HopLimit = 9
	if err := e.Tune(c); err != nil {
		t.Fatal(err)
	}
	trace := tracePing(t, e)
	if len(trace.Sent) != 1 || trace.Sent[0].Side != "ipv6" || trace.Sent[0].Packet[7] != 9 {
		t.Errorf("the new hop limit is not used: %+v", trace)
	}

	c.Forwarder.IO.IPv4.Type, c.Forwarder.IO.IPv6.Type = "packet", "packet"
	if got := newTestEmbedded(t, c).Fixed(); !slices.Equal(got, want[:2]) {
		t.Errorf("with packet devices %v is fixed, want %v", got, want[:2])
	}
}

// tracePing traces an echo request to a softwire on a whole address.
func tracePing(t *testing.T, e *embedded) api.Trace {
	t.Helper()
	table := testConfig("/run")
	table.Pools[0].PSIDLen = 0
	table.Softwires.Static = table.Softwires.Static[:1]
	table.Softwires.Static[0].PSID = nil
	for s := range mustTable(t, table).All() {
		if _, err := e.Apply(t.Context(), []dataplane.Op{{Kind: dataplane.Put, Softwire: s}}); err != nil {
			t.Fatal(err)
		}
	}
	packet := []byte{
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 124, 214, 203, 0, 113, 9, 192, 0, 2, 1,
		8, 0, 247, 255, 0, 0, 0, 0, // an echo request
	}
	return e.TracePacket(time.Now(), dataplane.SideIPv4, packet)
}

// TestEmbeddedCountsPerSoftwire: the counters that the control socket reads one
// by one are those of the walk over all.
func TestEmbeddedCountsPerSoftwire(t *testing.T) {
	c := testConfig(testFolder(t))
	packet := []byte{
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 124, 214, 203, 0, 113, 9, 192, 0, 2, 1,
		8, 0, 239, 255, 8, 0, 0, 0, // an echo request with identifier 2048: PSID 2
	}
	dp := newTestEmbedded(t, c.Dataplane)
	var keys []softwire.Key
	for s := range mustTable(t, c).All() {
		keys = append(keys, s.Key())
		if _, err := dp.Apply(t.Context(), []dataplane.Op{{Kind: dataplane.Put, Softwire: s}}); err != nil {
			t.Fatal(err)
		}
	}
	w := dp.NewWorker()
	buf := append(make([]byte, netio.Headroom), packet...)
	w.Begin(time.Now())
	w.Packet(dataplane.SideIPv4, buf, netio.Headroom, len(buf))
	w.End()

	want := make(map[softwire.Key]dataplane.SoftwireCounters)
	for row, err := range dp.SoftwireCounters(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want[row.Key] = row
	}
	if len(want) != 2 || want[keys[1]].ToB4 != (dataplane.Traffic{Packets: 1, Bytes: 28}) {
		t.Fatalf("nothing was counted: %+v", want)
	}
	absent := keys[0]
	absent.IPv4 = absent.IPv4.Next()
	asked := append(keys, absent)
	got := make(map[softwire.Key]dataplane.SoftwireCounters)
	v := view{p: &Plugin{dp: dp}}
	err := v.EachSoftwire(t.Context(), asked, func(i int, row dataplane.SoftwireCounters) {
		if asked[i] != row.Key {
			t.Errorf("key %d is %s", i, row.Key)
		}
		got[row.Key] = row
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("one by one %+v, %v, want %+v", got, err, want)
	}
}

// enterNamespace moves the test to a network namespace of its own with lo up.
// Its thread is not given back: it ends with the test, and with it the namespace.
func enterNamespace(t *testing.T) (netns.NsHandle, *netlink.Handle) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces and TUN devices need root")
	}
	if _, err := os.Stat("/dev/net/tun"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no /dev/net/tun")
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Skipf("no new network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ns, h
}

// giveAddress puts an address on lo.
func giveAddress(t *testing.T, h *netlink.Handle, text string) {
	t.Helper()
	address, err := netlink.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.AddrAdd(lo, address)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEmbeddedOnDevices runs a whole router on TUN devices in a network
// namespace of its own.
func TestEmbeddedOnDevices(t *testing.T) {
	ns, _ := enterNamespace(t)
	c := testConfig(testFolder(t))
	p, err := New(c, WithLogger(logger(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait(t, p.Ready(), "ready")
	if got := p.Stats().Reconcile.Programmed; got != 2 {
		t.Errorf("%d softwires are programmed, want 2", got)
	}
	want := []string{"192.0.0.8/32 lw4o6-v4", "192.0.2.0/24 lw4o6-v4", "2001:db8:ffff::1/128 lw4o6-v6"}
	if got := routes(t, ns); !slices.Equal(got, want) {
		t.Errorf("routes %v, want %v", got, want)
	}
	client := api.NewClient(c.Control.Socket)
	defer client.Close()
	counters, err := client.Counters(t.Context())
	if err != nil || len(counters.Devices) != 2 || counters.Devices[0].Name != "lw4o6-v4" {
		t.Errorf("counters: %+v, %v", counters, err)
	}

	next := c
	next.Pools = slices.Clone(c.Pools)
	next.Pools[0].Prefixes = append(slices.Clone(c.Pools[0].Prefixes), netip.MustParsePrefix("198.51.100.0/24"))
	if _, err := p.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	eventually(t, p, func() error {
		if got := routes(t, ns); len(got) != 4 {
			return errors.New(strings.Join(got, ", "))
		}
		return nil
	})

	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := routes(t, ns); len(got) != 0 {
		t.Errorf("routes after Stop: %v", got)
	}
	if _, err := net.InterfaceByName("lw4o6-v4"); err == nil {
		t.Error("the device is still there after Stop")
	}
}

// TestOwnAddress: the router's own IPv4 address is led to it and answers, also
// where the kernel looks at sources, and follows a reload.
func TestOwnAddress(t *testing.T) {
	ns, h := enterNamespace(t)
	giveAddress(t, h, "203.0.113.9/32")
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0o644); err != nil {
		t.Skipf("the kernel's check of sources cannot be switched on: %v", err)
	}
	c := testConfig(testFolder(t))
	p, err := New(c, WithLogger(logger(t)))
	if err != nil {
		t.Fatal(err)
	}
	start(t, p)
	echo(t, "192.0.0.8")

	next := c
	next.Dataplane.Forwarder.IPv4Address = netip.MustParseAddr("198.51.100.7")
	if _, err := p.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	echo(t, "198.51.100.7")
	want := []string{"192.0.2.0/24 lw4o6-v4", "198.51.100.7/32 lw4o6-v4", "2001:db8:ffff::1/128 lw4o6-v6"}
	if got := routes(t, ns); !slices.Equal(got, want) {
		t.Errorf("routes %v, want %v", got, want)
	}

	// An address of the host is refused, and nothing changes.
	next.Dataplane.Forwarder.IPv4Address = netip.MustParseAddr("203.0.113.9")
	_, err = p.Reload(t.Context(), next)
	var bad *ConfigError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "dataplane.forwarder.ipv4-address: 203.0.113.9 is an address of the host (lo)") {
		t.Errorf("an address of the host: %v", err)
	}
	echo(t, "198.51.100.7")
	if got := routes(t, ns); !slices.Equal(got, want) {
		t.Errorf("routes %v, want %v", got, want)
	}
}

// echo pings an address once.
func echo(t *testing.T, to string) {
	t.Helper()
	conn, err := net.Dial("ip4:icmp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	var answer [100]byte
	// From the address that was asked: the socket is connected. The IPv4 header
	// comes first.
	if n, err := conn.Read(answer[:]); err != nil || n != 28 || answer[20] != 0 {
		t.Errorf("%s answers % x, %v", to, answer[:n], err)
	}
}

// TestOwnAddressOfTheHost: a router on TUN devices does not start with one, and
// leaves nothing open.
func TestOwnAddressOfTheHost(t *testing.T) {
	ns, h := enterNamespace(t)
	giveAddress(t, h, "198.51.100.7/32")
	text := strings.NewReplacer("tunnel-mtu: 1540", "ipv4-address: 198.51.100.7", "198.51.100.0/24", "198.51.100.0/30",
		"{type: packet, name: eth1, next-hop: 2001:db8:fffe::1}", "{type: tun, name: v6}", "socket: /run/lw4o6/control.sock", `socket: ""`).Replace(good)
	f, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(f.Config, WithLogger(logger(t)))
	if err != nil {
		t.Fatal(err)
	}
	err = f.Locate(p.Start(t.Context()))
	if err == nil || !strings.Contains(err.Error(), "/f:19: dataplane.forwarder.ipv4-address: 198.51.100.7 is an address of the host (lo)") {
		t.Errorf("Start: %v", err)
	}
	if links, err := h.LinkList(); err != nil || len(links) != 1 {
		t.Errorf("%d interfaces are left, %v; routes %v", len(links), err, routes(t, ns))
	}
}

// TestOwnAddressIsTaken: where the kernel has a route of somebody else for it,
// the pools are led here all the same.
func TestOwnAddressIsTaken(t *testing.T) {
	ns, h := enterNamespace(t)
	lo, err := h.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	taken := netip.MustParsePrefix("192.0.0.8/32")
	err = h.RouteAdd(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: taken.Addr().AsSlice(), Mask: net.CIDRMask(32, 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(testConfig(testFolder(t)), WithLogger(logger(t)))
	if err != nil {
		t.Fatal(err)
	}
	start(t, p)
	want := []string{"192.0.2.0/24 lw4o6-v4", "2001:db8:ffff::1/128 lw4o6-v6"}
	if got := routes(t, ns); !slices.Equal(got, want) {
		t.Errorf("routes %v, want %v", got, want)
	}
}

// TestOwnAddressOnPacketDevices: there an address of the host may be the
// router's own too, and stays the host's; any other is kept from the kernel.
func TestOwnAddressOnPacketDevices(t *testing.T) {
	_, h := enterNamespace(t)
	giveAddress(t, h, "198.51.100.7/32")
	for _, link := range []string{"eth0", "eth1"} {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: link}, PeerName: "peer-" + link}
		if err := h.LinkAdd(veth); err != nil {
			t.Skipf("no veth devices: %v", err)
		}
		if err := h.LinkSetUp(veth); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		own  string
		want []string
	}{
		{"198.51.100.7", []string{"192.0.2.0/24", "2001:db8:ffff::1/128"}},
		{"198.51.100.8", []string{"192.0.2.0/24", "198.51.100.8/32", "2001:db8:ffff::1/128"}},
	} {
		// No subtests: they would run on other threads.
		c := testConfig(testFolder(t))
		c.Dataplane.Forwarder.IPv4Address = netip.MustParseAddr(test.own)
		c.Dataplane.Forwarder.IO.IPv4 = DeviceConfig{Type: "packet", Name: "eth0", NextHop: netip.MustParseAddr("198.51.100.254")}
		c.Dataplane.Forwarder.IO.IPv6 = DeviceConfig{Type: "packet", Name: "eth1", NextHop: netip.MustParseAddr("2001:db8::2")}
		p, err := New(c, WithLogger(logger(t)))
		if err == nil {
			err = p.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		wait(t, p.Ready(), "ready")
		list, err := h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Type: unix.RTN_BLACKHOLE}, netlink.RT_FILTER_TYPE)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range list {
			got = append(got, r.Dst.String())
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("with %s, kept from the kernel: %v, want %v", test.own, got, test.want)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// routes lists "prefix device" of our devices.
func routes(t *testing.T, ns netns.NsHandle) []string {
	t.Helper()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, link := range links {
		name := link.Attrs().Name
		if !strings.HasPrefix(name, "lw4o6-") {
			continue
		}
		list, err := h.RouteList(link, netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.Dst != nil && !r.Dst.IP.IsLinkLocalUnicast() && !r.Dst.IP.IsMulticast() {
				all = append(all, r.Dst.String()+" "+name)
			}
		}
	}
	slices.Sort(all)
	return all
}
