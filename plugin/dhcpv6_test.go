package plugin

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/listen"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// dhcpv6Config is leaseConfig with a DHCPv6 server.
func dhcpv6Config(dir string) Config {
	c := leaseConfig(dir)
	c.Pools[0].Mechanisms = append(c.Pools[0].Mechanisms, pool.DHCPv6)
	var p server.Pool
	p.SetDefaults()
	p.Name, p.Prefixes = "access", []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/40")}
	c.DHCPv6.Enabled = true
	c.DHCPv6.Listen = []listen.Config{{Address: netip.MustParseAddr("::1")}}
	c.DHCPv6.Pools = []server.Pool{p}
	return c
}

// anyPort has the DHCPv6 server use a port that everybody may use.
func anyPort(o *options) { o.dhcpv6Port = 0 }

// dhcpv6Ask is a message of a client with one IA_PD and option 96 asked for.
func dhcpv6Ask(t *testing.T, p *Plugin, kind dhcpv6.MessageType, to dhcpv6.DUID) *dhcpv6.Message {
	t.Helper()
	run, err := p.present()
	if err != nil {
		t.Fatal(err)
	}
	duid, err := storedDUID(t.Context(), run.store)
	if err != nil {
		t.Fatal(err)
	}
	m := &dhcpv6.Message{MessageType: kind, TransactionID: dhcpv6.TransactionID{1}}
	m.AddOption(dhcpv6.OptClientID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}}))
	if to != nil {
		m.AddOption(dhcpv6.OptServerID(to))
	}
	m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionS46ContLW))
	m.AddOption(&dhcpv6.OptIAPD{IaId: [4]byte{1}})
	answer, err := dhcpv6.MessageFromBytes(run.dhcpv6.Respond(t.Context(), "", server.Identifier(duid), m.ToBytes()))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestDHCPv6: a router with a DHCPv6 server grants a softwire that the data plane
// has, and has the same identity, prefix and port set after a restart.
func TestDHCPv6(t *testing.T) {
	dir := testFolder(t)
	var containers, duids []string
	for range 2 {
		dp := newTestDataplane()
		p := newPlugin(t, dhcpv6Config(dir), dp, anyPort)
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		wait(t, p.Ready(), "ready")
		offer := dhcpv6Ask(t, p, dhcpv6.MessageTypeSolicit, nil)
		reply := dhcpv6Ask(t, p, dhcpv6.MessageTypeRequest, offer.Options.ServerID())
		o := reply.GetOneOption(dhcpv6.OptionS46ContLW)
		if o == nil {
			t.Fatalf("%s", reply.Summary())
		}
		parsed, err := s46.Parse(o.Code(), o.ToBytes())
		if err != nil {
			t.Fatal(err)
		}
		lw := parsed.(*s46.LW)
		set, err := lw.Bind.PortParams.PortSet()
		if err != nil {
			t.Fatal(err)
		}
		b4, err := softwire.TunnelAddress(lw.Bind.Prefix, lw.Bind.IPv4, set)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, sw := range dp.Held() {
			found = found || sw.B4 == b4 && sw.IPv4 == lw.Bind.IPv4 && sw.PortSet == set && sw.BR == lw.BRs[0].Address
		}
		if !found {
			t.Errorf("%s was told, and the data plane has %v", lw, dp.Held())
		}
		if s := p.Stats().DHCPv6; s == nil || s.Delegations.Pools[0].Bound != 1 {
			t.Errorf("%+v", s)
		}
		containers, duids = append(containers, lw.String()), append(duids, reply.Options.ServerID().String())
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if containers[0] != containers[1] || duids[0] != duids[1] {
		t.Errorf("before and after a restart: %q, %q", containers, duids)
	}
}

// TestDHCPv6Disagrees: what excludes each other is refused, where it stands.
func TestDHCPv6Disagrees(t *testing.T) {
	dir := testFolder(t)
	if err := dhcpv6Config(dir).Validate(); err != nil {
		t.Fatal(err)
	}
	for at, spoil := range map[string]func(c *Config){
		"dhcpv6.enabled":                 func(c *Config) { c.Store.Path = ""; c.Pools[0].Mechanisms = nil; c.PCP.Enabled = false },
		"dhcpv6.listen":                  func(c *Config) { c.DHCPv6.Listen = nil },
		"dhcpv6.listen[0]":               func(c *Config) { c.DHCPv6.Listen[0].Address = netip.Addr{} },
		"dhcpv6.listen[0].address":       func(c *Config) { c.DHCPv6.Listen[0].Address = netip.MustParseAddr("ff02::1:2") },
		"dhcpv6.pools":                   func(c *Config) { c.DHCPv6.Pools = nil },
		"dhcpv6.follow":                  func(c *Config) { c.DHCPv6.Follow = true },
		"dhcpv6.server-id":               func(c *Config) { c.DHCPv6.ServerID = "xyz" },
		"dhcpv6.pools[0].delegated-len":  func(c *Config) { c.DHCPv6.Pools[0].DelegatedLen = 60 },
		"dhcpv6.pools[0].valid-lifetime": func(c *Config) { c.DHCPv6.Pools[0].ValidLifetime = 200 * time.Hour },
		"dhcpv6.pools[0].hold-down":      func(c *Config) { c.DHCPv6.Pools[0].HoldDown = time.Minute },
		"dhcpv6.pools[0].softwire-pool":  func(c *Config) { c.DHCPv6.Pools[0].SoftwirePool = "nobody" },
		"dhcpv6.pools[0].br-ipv6-addr":   func(c *Config) { c.DHCPv6.Pools[0].BR = netip.MustParseAddr("2001:db8::77") },
		"dhcpv6.pools[0].mechanism":      func(c *Config) { c.Pools[0].Mechanisms = []pool.Mechanism{pool.Static} },
	} {
		c := dhcpv6Config(dir)
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), at+": ") {
			t.Errorf("%s: %v", at, err)
		}
	}
}
