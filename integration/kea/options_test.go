package kea

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

var (
	serverAddress = netip.MustParseAddr("2001:db8:f::1")
	relayAddress  = netip.MustParseAddr("2001:db8:f::2")
	br            = netip.MustParseAddr("2001:db8:cafe::1")
)

// softwires are what Kea and we are told, ours as what it should look like.
var softwires = []struct {
	name string
	ours s46.Option
	kea  []any
}{
	{
		"a softwire that shares its address", s46.NewLW(br, netip.MustParseAddr("192.0.2.3"), set("0/6/5"), netip.MustParsePrefix("2001:db8:1:8000::/56")),
		lw("192.0.2.3, 2001:db8:1:8000::/56", "0, 5/6"),
	},
	{
		"a softwire with a psid-offset", s46.NewLW(br, netip.MustParseAddr("203.0.113.255"), set("6/8/52"), netip.MustParsePrefix("2001:db8:1:81ff::/64")),
		lw("203.0.113.255, 2001:db8:1:81ff::/64", "6, 52/8"),
	},
	{
		"a softwire of one port", s46.NewLW(br, netip.MustParseAddr("192.0.2.3"), set("0/16/65535"), netip.MustParsePrefix("2001:db8:1:81c0::/58")),
		lw("192.0.2.3, 2001:db8:1:81c0::/58", "0, 65535/16"),
	},
	{
		"a softwire with a whole address", s46.NewLW(br, netip.MustParseAddr("192.0.2.3"), portset.PortSet{}, netip.MustParsePrefix("2001:db8::/48")),
		lw("192.0.2.3, 2001:db8::/48", "0, 0/0"),
	},
	{
		"MAP-E", &s46.MAPE{
			Rules: []s46.Rule{{Forwarding: true, EALength: 16, IPv4: netip.MustParsePrefix("192.0.2.0/24"), IPv6: netip.MustParsePrefix("2001:db8::/41"),
				PortParams: &s46.PortParams{Offset: 6, Length: 8}}},
			BRs: []s46.BR{{Address: br}},
		},
		[]any{
			data("dhcp6", "s46-cont-mape", ""),
			data("s46-cont-mape-options", "s46-rule", "1, 16, 24, 192.0.2.0, 2001:db8::/41"),
			data("s46-rule-options", "s46-portparams", "6, 0/8"),
			data("s46-cont-mape-options", "s46-br", br.String()),
		},
	},
	{
		"MAP-T", &s46.MAPT{
			Rules: []s46.Rule{{IPv4: netip.MustParsePrefix("192.0.2.9/32"), IPv6: netip.MustParsePrefix("2001:db8:8000::/33")}},
			DMR:   s46.DMR{Prefix: netip.MustParsePrefix("2001:db8:ffff::/64")},
		},
		[]any{
			data("dhcp6", "s46-cont-mapt", ""),
			data("s46-cont-mapt-options", "s46-rule", "0, 0, 32, 192.0.2.9, 2001:db8:8000::/33"),
			data("s46-cont-mapt-options", "s46-dmr", "2001:db8:ffff::/64"),
		},
	},
	{
		"AFTR name", &s46.AFTRName{Name: "aftr-1.example.com"},
		[]any{data("dhcp6", "aftr-name", "aftr-1.example.com")},
	},
	{
		"DHCP 4o6 servers", &s46.DHCP4o6Servers{Addresses: []netip.Addr{serverAddress, relayAddress}},
		[]any{data("dhcp6", "dhcp4o6-server-addr", serverAddress.String()+", "+relayAddress.String())},
	},
	{
		"PCP server", &s46.PCPServer{Addresses: []netip.Addr{br, netip.MustParseAddr("192.0.2.1")}},
		[]any{data("dhcp6", "v6-pcp-server", br.String()+", ::ffff:192.0.2.1")},
	},
	{
		"priority", &s46.Priority{Codes: []dhcpv6.OptionCode{96, 94, 64}},
		[]any{data("dhcp6", "s46-priority", "96, 94, 64")},
	},
}

func set(text string) portset.PortSet {
	s, err := portset.ParsePortSet(text)
	if err != nil {
		panic(err)
	}
	return s
}

func data(space, name, text string) any {
	option := map[string]any{"space": space, "name": name}
	if text != "" {
		option["data"] = text
	}
	return option
}

// definitions are of the options that Kea has no names for.
func definitions() []any {
	return []any{
		map[string]any{"name": "v6-pcp-server", "code": 86, "type": "ipv6-address", "array": true, "space": "dhcp6"},
		map[string]any{"name": "s46-priority", "code": 111, "type": "uint16", "array": true, "space": "dhcp6"},
	}
}

func lw(bind, params string) []any {
	return []any{
		data("dhcp6", "s46-cont-lw", ""),
		data("s46-cont-lw-options", "s46-br", br.String()),
		data("s46-cont-lw-options", "s46-v4v6bind", bind),
		data("s46-v4v6bind-options", "s46-portparams", params),
	}
}

// TestOptions: Kea writes the same octets for the same softwire.
func TestOptions(t *testing.T) {
	netlab.Require(t)
	netlab.RequireProgram(t, Program, Package)
	for _, c := range softwires {
		t.Run(c.name, func(t *testing.T) {
			lab := netlab.New()
			t.Cleanup(func() { must(t, lab.Close()) })
			server, relay := node(t, lab, "server"), node(t, lab, "relay")
			must(t, lab.Connect(
				netlab.End{Node: server, Name: "eth0", Addrs: []netip.Prefix{netip.PrefixFrom(serverAddress, 64)}},
				netlab.End{Node: relay, Name: "eth0", Addrs: []netip.Prefix{netip.PrefixFrom(relayAddress, 64)}}))
			_, err := Start(server, t.TempDir(), map[string]any{
				"interfaces-config": map[string]any{"interfaces": []any{"eth0/" + serverAddress.String()}},
				"lease-database":    map[string]any{"type": "memfile", "persist": false},
				"option-def":        definitions(),
				"option-data":       c.kea,
				"subnet6": []any{map[string]any{"subnet": "2001:db8:f::/64",
					"pd-pools": []any{map[string]any{"prefix": "2001:db8:1::", "prefix-len": 48, "delegated-len": 56}}}},
			})
			must(t, err)
			got := ask(t, relay, c.ours.Code())
			if want := c.ours.ToBytes(); !bytes.Equal(got, want) {
				t.Errorf("Kea says\n%x, we\n%x", got, want)
			}
			if read, err := s46.Parse(c.ours.Code(), got); err != nil || read.String() != c.ours.String() {
				t.Errorf("what Kea says is read as %v, %v; want %s", read, err, c.ours)
			}
		})
	}
}

func node(t *testing.T, lab *netlab.Lab, name string) *netlab.Namespace {
	t.Helper()
	n, err := lab.Namespace(name)
	must(t, err)
	return n
}

// ask sends a Solicit through a relay that asks for an option, and returns the
// data of it in the Advertise.
func ask(t *testing.T, relay *netlab.Namespace, code dhcpv6.OptionCode) []byte {
	t.Helper()
	solicit, err := dhcpv6.NewSolicit(net.HardwareAddr{2, 0, 0, 0, 0, 1},
		dhcpv6.WithIAPD([4]byte{0, 0, 0, 1}), dhcpv6.WithRequestedOptions(code))
	must(t, err)
	forward, err := dhcpv6.EncapsulateRelay(solicit, dhcpv6.MessageTypeRelayForward, relayAddress.AsSlice(), net.ParseIP("fe80::1"))
	must(t, err)
	var answer []byte
	must(t, relay.Do(func() error {
		conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: relayAddress.AsSlice(), Port: dhcpv6.DefaultServerPort})
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(startLimit)); err != nil {
			return err
		}
		if _, err := conn.WriteTo(forward.ToBytes(), &net.UDPAddr{IP: serverAddress.AsSlice(), Port: dhcpv6.DefaultServerPort}); err != nil {
			return err
		}
		b := make([]byte, 0xffff)
		n, _, err := conn.ReadFrom(b)
		answer = b[:n]
		return err
	}))
	reply, err := dhcpv6.FromBytes(answer)
	must(t, err)
	return optionOf(t, reply, code)
}

func optionOf(t *testing.T, m dhcpv6.DHCPv6, code dhcpv6.OptionCode) []byte {
	t.Helper()
	inner, err := m.GetInnerMessage()
	must(t, err)
	options := inner.Options.Get(code)
	if len(options) != 1 {
		t.Fatalf("%d of %s in %s", len(options), code, inner.Summary())
	}
	return options[0].ToBytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
