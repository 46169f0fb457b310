package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// The uplink of the peer. It wants an address that nobody has set apart.
const peerUplink = "wan"

var peerAddr = netip.MustParsePrefix("5.5.5.5/24")

// The PCP server that is the peer, and the Debian package that has it.
const (
	miniupnpd        = "miniupnpd"
	miniupnpdPackage = "miniupnpd-nftables"
)

// peerRules is the tables that miniupnpd makes its rules in, as its package has
// them, but that nothing is dropped.
const peerRules = `
table inet filter {
	chain miniupnpd { }
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
	chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
	chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
	chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }
}
`

const peerConfig = `
ext_ifname=%s
listening_ip=%s
enable_natpmp=yes
enable_upnp=no
secure_mode=yes
uuid=cf5667dc-b805-4686-a62f-216f6cea2f85
allow 1024-65535 0.0.0.0/0 1024-65535
`

// startMiniupnpd starts the peer.
func (r *pcpRig) startMiniupnpd(ctx context.Context, lab *netlab.Lab, folder string) error {
	internet, err := lab.Namespace("internet")
	if err != nil {
		return err
	}
	if err := lab.Connect(
		netlab.End{Node: r.server, Name: peerUplink, Addrs: []netip.Prefix{peerAddr}},
		netlab.End{Node: internet, Name: peerUplink}); err != nil {
		return err
	}
	rules, config := filepath.Join(folder, "peer.nft"), filepath.Join(folder, "miniupnpd.conf")
	if err := os.WriteFile(rules, []byte(peerRules), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, peerConfig, peerUplink, pcpDevice), 0o600); err != nil {
		return err
	}
	nft, err := r.server.Start("nft", "-f", rules)
	if err != nil {
		return err
	}
	if err := nft.Wait(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, nft.Output())
	}
	// It leaves its parent unless it is to write all that it does, which takes it
	// most of its time. So it dies with a namespace of processes.
	const forEver = `"$0" -f "$1" -P "$2" && sleep infinity`
	if r.process, err = r.server.Start("unshare", "--pid", "--fork", "--kill-child", "sh", "-c", forEver,
		miniupnpd, config, filepath.Join(folder, "peer.pid")); err != nil {
		return err
	}
	r.stop = func() error {
		err := r.process.Signal(syscall.SIGKILL)
		<-r.process.Done()
		return err
	}
	for {
		if listening, err := r.listening(); listening || err != nil {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.process.Done():
			return fmt.Errorf("%s ended: %s", miniupnpd, r.process.Output())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listening says whether the server has a socket for PCP.
func (r *pcpRig) listening() (found bool, err error) {
	err = r.server.Do(func() error {
		sockets, err := os.ReadFile("/proc/thread-self/net/udp6")
		found = bytes.Contains(sockets, fmt.Appendf(nil, ":%04X ", pcpmsg.ServerPort))
		return err
	})
	return found, err
}
