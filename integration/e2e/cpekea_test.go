package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/kea"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// carrier is a Kea that serves the CPEs of a scene on their links.
type carrier struct {
	*testing.T
	scene  *scene.Scene
	kea    *netlab.Process
	folder string // Kea's
}

// option is one of Kea's.
func option(space, name, data string) map[string]any {
	o := map[string]any{"space": space, "name": name}
	if data != "" {
		o["data"] = data
	}
	return o
}

// bound gives a subscriber a softwire in the lwAFTR, and returns what Kea is to say
// of it.
func (c *carrier) bound(ctx context.Context, number int, psid uint16) (softwire.Softwire, []any) {
	c.Helper()
	sub := c.scene.Subscribers[number-1]
	set, err := portset.Of(0, 6, psid)
	must(c.T, err)
	s := softwire.Softwire{IPv4: netip.MustParseAddr("192.0.2.77"), PortSet: set, BR: scene.BR}
	s.B4, err = softwire.TunnelAddress(sub.Prefix, s.IPv4, set)
	must(c.T, err)
	key := api.FromKey(s.Key())
	held, err := c.scene.Holds(ctx, number)
	must(c.T, err)
	for _, before := range held {
		_, err := c.scene.Router().Unreserve(ctx, api.FromKey(before.Key()))
		must(c.T, err)
		_, err = c.scene.Router().Remove(ctx, api.RemoveRequest{Key: api.FromKey(before.Key())})
		must(c.T, err)
	}
	request := api.LeaseRequest{B4: s.B4, Mechanism: "pcp", Pool: "shared", Want: &key, Lifetime: 3600}
	_, err = c.scene.Router().Reserve(ctx, request)
	must(c.T, err)
	lease, err := c.scene.Router().Acquire(ctx, request)
	must(c.T, err)
	if lease.Key != key {
		c.Fatalf("lent %+v, want %+v", lease, key)
	}
	return s, []any{
		option("dhcp6", "s46-cont-lw", ""),
		option("s46-cont-lw-options", "s46-br", scene.BR.String()),
		option("s46-cont-lw-options", "s46-v4v6bind", fmt.Sprintf("%s, %s", s.IPv4, sub.Prefix)),
		option("s46-v4v6bind-options", "s46-portparams", fmt.Sprintf("0, %d/6", psid)),
	}
}

// serve starts Kea, with the options of each subscriber, in place of one that runs. It
// forgets its leases, but is the same server.
func (c *carrier) serve(options ...[]any) {
	c.Helper()
	if c.kea != nil {
		must(c.T, c.kea.Stop())
		_ = c.kea.Wait() // it was told to stop
	}
	var interfaces, subnets []any
	for i, data := range options {
		sub := c.scene.Subscribers[i]
		link := scene.AccessCPE(sub.Number)
		interfaces = append(interfaces, link)
		subnets = append(subnets, map[string]any{
			"id": sub.Number, "interface": link, "subnet": fmt.Sprintf("2001:db8:0:%d::/64", sub.Number),
			"pd-pools":    []any{map[string]any{"prefix": sub.Prefix.Addr().String(), "prefix-len": sub.Prefix.Bits(), "delegated-len": sub.Prefix.Bits()}},
			"option-data": data,
		})
	}
	var err error
	c.kea, err = kea.Start(c.scene.Access, c.folder, map[string]any{
		"interfaces-config": map[string]any{"interfaces": interfaces},
		"lease-database":    map[string]any{"type": "memfile", "persist": false},
		"subnet6":           subnets,
		"valid-lifetime":    600, "preferred-lifetime": 600,
	})
	must(c.T, err)
}

// cpe starts lwb4 on a subscriber's CPE.
func (c *carrier) cpe(number int) *netlab.Process {
	c.Helper()
	sub := c.scene.Subscribers[number-1]
	path := filepath.Join(c.TempDir(), "lwb4.yaml")
	must(c.T, os.WriteFile(path, fmt.Appendf(nil, `
source: dhcpv6
dhcpv6: {interface: %s, release: true}
pcp: {release: true}
lan: {interface: %s, prefix: %s}
recovery: {after: 1s}
`, scene.CPEWAN, scene.CPELAN, sub.LAN), 0o600))
	p, err := c.scene.CPEs[number-1].Start(binaries.Lwb4, "run", "-c", path)
	must(c.T, err)
	c.Cleanup(func() {
		if c.Failed() {
			c.Logf("lwb4 of subscriber %d wrote:\n%s", number, p.Output())
		}
	})
	return p
}

// TestDHCPv6FromKea: the CPE gets along with somebody else's server. One subscriber is
// told of its softwire, and later of another one; the other is told the name of an
// lwAFTR, looks it up and asks for a port set by PCP.
func TestDHCPv6FromKea(t *testing.T) {
	netlab.RequireProgram(t, kea.Program, kea.Package)
	ctx, s := start(t, scene.Options{PCP: true, Unbound: true})
	c := &carrier{T: t, scene: s, folder: t.TempDir()}
	names, err := probe.OpenNameServer(s.Access, netip.MustParseAddr("2001:db8:0:2::1"), map[string]netip.Addr{"aftr.example.net.": scene.BR})
	must(t, err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- names.Run(running) }()
	defer func() { stop(); must(t, <-ended) }()

	first, says := c.bound(ctx, 1, 5)
	asks := []any{option("dhcp6", "aftr-name", "aftr.example.net"), option("dhcp6", "dns-servers", "2001:db8:0:2::1")}
	c.serve(says, asks)
	one, two := c.cpe(1), c.cpe(2)
	for _, host := range s.Hosts {
		reaches(ctx, t, host, s.Echo())
	}
	expect := func(p *netlab.Process, want string) {
		t.Helper()
		for !strings.Contains(p.Output(), want) {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("%q is not in:\n%s", want, p.Output())
			}
		}
	}
	expect(one, "softwire=\""+first.String())
	expect(two, "psid 0/6/")

	// The carrier changes its mind. The CPE learns of it when nothing comes back but
	// that there is no binding.
	second, says := c.bound(ctx, 1, 9)
	c.serve(says, asks)
	took := reaches(ctx, t, s.Hosts[0], s.Echo())
	expect(one, "softwire=\""+second.String())
	t.Logf("from %s to %s, traffic after %s", first, second, took.Round(time.Millisecond))

	for _, p := range []*netlab.Process{one, two} {
		must(t, p.Stop())
		if err := p.Wait(); err != nil {
			t.Errorf("ended with %v", err)
		}
	}
	if out := c.kea.Output(); !strings.Contains(out, s.Subscribers[0].Prefix.String()+" for iaid=1 was released properly") {
		t.Errorf("the prefix was not released:\n%s", out)
	}
	held, err := s.Holds(ctx, 2)
	must(t, err)
	if len(held) != 0 {
		t.Errorf("the port set was not given back: %v", held)
	}
}
