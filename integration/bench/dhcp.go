package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/integration/kea"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
)

// dhcp measures how many clients per second get a prefix and a softwire by
// DHCPv6, four messages each, while less than one exchange in a hundred fails.
// All that they are told is durable: in a lwAFTR, or in a coredhcp server and in a
// lwAFTR beside it. The peers are a Kea that tells every client of the same softwire and writes
// its leases to a file, and a coredhcp that delegates prefixes alone, and keeps
// them in memory.
func (s scale) dhcp(context.Context) ([]spec, func() error, error) {
	binaries := scene.In(s.binaries)
	if err := errors.Join(
		netlab.Available(), netlab.Installed(kea.Program, kea.Package), netlab.Installed(perfdhcp, "kea-admin"),
		built(binaries.Lwaftr, binaries.Coredhcp),
	); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	return []spec{
		{name: "dhcp-exchanges", unit: "exchanges/s", ours: s.exchanges(lwaftrDHCP(binaries)), peer: "Kea, memfile on disk", theirs: s.exchanges(keaDHCP)},
		{name: "dhcp-exchanges-coredhcp", unit: "exchanges/s", ours: s.exchanges(pluginDHCP(binaries)), peer: "coredhcp, prefix in memory", theirs: s.exchanges(plainDHCP(binaries))},
	}, nil, nil
}

// dhcpServer starts a server on a node, with its files in a folder.
type dhcpServer func(node *netlab.Namespace, folder string) error

// Addresses and names of the two nodes.
const (
	dhcpDevice   = "eth0"
	dhcpSubnet   = "2001:db8:f::/64"
	dhcpPrefixes = "2001:db8:8000::/36"
)

// exchanges measures a server that knows nobody yet.
func (s scale) exchanges(server dhcpServer) measure {
	return func(ctx context.Context) (rate float64, err error) {
		folder, err := os.MkdirTemp(s.binaries, "dhcp-")
		if err != nil {
			return 0, err
		}
		lab := netlab.New()
		defer func() { err = errors.Join(err, lab.Close(), os.RemoveAll(folder)) }()
		clients, err := dhcpNodes(ctx, lab, server, folder)
		if err != nil {
			return 0, err
		}
		return searchRate(func(rate int) (attempt, error) { return s.attempt(ctx, clients, rate) })
	}
}

// dhcpNodes makes a node with a server that serves, and one for its clients.
func dhcpNodes(ctx context.Context, lab *netlab.Lab, server dhcpServer, folder string) (*netlab.Namespace, error) {
	node, err := lab.Namespace("server")
	if err != nil {
		return nil, err
	}
	clients, err := lab.Namespace("clients")
	if err != nil {
		return nil, err
	}
	first := netip.MustParsePrefix(dhcpSubnet).Addr().Next()
	if err := lab.Connect(
		netlab.End{Node: node, Name: dhcpDevice, Addrs: []netip.Prefix{netip.PrefixFrom(first, 64)}},
		netlab.End{Node: clients, Name: dhcpDevice, Addrs: []netip.Prefix{netip.PrefixFrom(first.Next(), 64)}},
	); err != nil {
		return nil, err
	}
	if err := server(node, folder); err != nil {
		return nil, err
	}
	return clients, awaitDHCP(ctx, node)
}

// awaitDHCP waits until somebody has the port of DHCPv6 servers.
func awaitDHCP(ctx context.Context, node *netlab.Namespace) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	const port547 = ":0223 "
	for {
		var sockets []byte
		err := node.Do(func() (err error) { sockets, err = os.ReadFile("/proc/thread-self/net/udp6"); return err })
		if err != nil || strings.Contains(string(sockets), port547) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the DHCPv6 server does not serve: %w", ctx.Err())
		}
	}
}

// keaDHCP tells every client of the same softwire.
func keaDHCP(node *netlab.Namespace, folder string) error {
	option := func(space, name, data string) any {
		o := map[string]any{"space": space, "name": name}
		if data != "" {
			o["data"] = data
		}
		return o
	}
	_, err := kea.Start(node, folder, map[string]any{
		"interfaces-config": map[string]any{"interfaces": []any{dhcpDevice}},
		"lease-database":    map[string]any{"type": "memfile", "persist": true, "name": filepath.Join(folder, "leases.csv")},
		"option-data": []any{
			option("dhcp6", "s46-cont-lw", ""),
			option("s46-cont-lw-options", "s46-br", brAddress.String()),
			option("s46-cont-lw-options", "s46-v4v6bind", "192.0.2.3, 2001:db8:1:8000::/56"),
			option("s46-v4v6bind-options", "s46-portparams", "0, 5/6"),
		},
		"subnet6": []any{map[string]any{"subnet": dhcpSubnet, "interface": dhcpDevice,
			"pd-pools": []any{map[string]any{"prefix": netip.MustParsePrefix(dhcpPrefixes).Addr().String(), "prefix-len": 36, "delegated-len": 56}}}},
	})
	return err
}

// plainDHCP is coredhcp with its own plugin, which keeps nothing.
func plainDHCP(binaries scene.Binaries) dhcpServer {
	return func(node *netlab.Namespace, folder string) error {
		return startCoredhcp(binaries, node, folder, "prefix: "+dhcpPrefixes+" 56")
	}
}

// lwaftrConfig is that of a lwAFTR which lends by DHCPv6.
func lwaftrConfig(folder string) string {
	return fmt.Sprintf(`
pools:
  - {name: shared, prefixes: [10.0.0.0/14], psid-len: 6, br-ipv6-addr: "%s", mechanisms: [dhcpv6]}
store: {path: %s}
dataplane: {forwarder: {ipv4-address: 203.0.113.2}}
control: {socket: %s}
`, brAddress, filepath.Join(folder, "leases.db"), filepath.Join(folder, "control.sock"))
}

// lwaftrDHCP is the server in the lwAFTR.
func lwaftrDHCP(binaries scene.Binaries) dhcpServer {
	return func(node *netlab.Namespace, folder string) error {
		path := filepath.Join(folder, "lwaftr.yaml")
		dhcp := fmt.Sprintf("dhcpv6:\n  enabled: true\n  listen: [{interface: %s}]\n  client-rate: 0\n  pools: [{name: all, prefixes: [\"%s\"]}]\n", dhcpDevice, dhcpPrefixes)
		if err := write(path, lwaftrConfig(folder)+dhcp); err != nil {
			return err
		}
		_, err := node.Start(binaries.Lwaftr, "run", "-c", path)
		return err
	}
}

// pluginDHCP is coredhcp with our plugin, beside a lwAFTR.
func pluginDHCP(binaries scene.Binaries) dhcpServer {
	return func(node *netlab.Namespace, folder string) error {
		in := func(name string) string { return filepath.Join(folder, name) }
		plugin := fmt.Sprintf("store: %s\nrouter: {socket: %s}\ndhcpv6:\n  client-rate: 0\n  pools: [{name: all, prefixes: [\"%s\"]}]\n",
			in("delegations.db"), in("control.sock"), dhcpPrefixes)
		if err := errors.Join(write(in("lwaftr.yaml"), lwaftrConfig(folder)), write(in("lw4o6.yaml"), plugin)); err != nil {
			return err
		}
		if _, err := node.Start(binaries.Lwaftr, "run", "-c", in("lwaftr.yaml")); err != nil {
			return err
		}
		return startCoredhcp(binaries, node, folder, "lw4o6: "+in("lw4o6.yaml"))
	}
}

// startCoredhcp starts a coredhcp with one plugin besides what every one has.
func startCoredhcp(binaries scene.Binaries, node *netlab.Namespace, folder, plugin string) error {
	path := filepath.Join(folder, "coredhcp.yaml")
	text := fmt.Sprintf("server6:\n  listen: [\"[ff02::1:2%%%s]:547\"]\n  plugins:\n    - server_id: LL 02:00:00:00:00:01\n    - %s\n", dhcpDevice, plugin)
	if err := write(path, text); err != nil {
		return err
	}
	_, err := node.Start(binaries.Coredhcp, "-c", path, "-log", "error")
	return err
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
