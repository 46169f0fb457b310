package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// dhcpcd is the DHCPv6 client of that name, on a CPE. It runs a script with what
// it knows whenever that changes, which here leaves a file for each kind of event.
type dhcpcd struct {
	*testing.T
	node    *netlab.Namespace
	folder  string
	process *netlab.Process
}

func newDHCPCD(t *testing.T, node *netlab.Namespace) *dhcpcd {
	t.Helper()
	c := &dhcpcd{T: t, node: node, folder: t.TempDir()}
	const config = "duid ll\nrelease\nnoipv6rs\nallowinterfaces %[1]s\ninterface %[1]s\n  ia_pd 1\n  option dhcp6_s46_cont_lw\n"
	must(t, os.WriteFile(c.file("conf"), fmt.Appendf(nil, config, scene.CPEWAN), 0o600))
	script := fmt.Sprintf("#!/bin/sh\nenv > %[1]s.new && mv %[1]s.new %[1]s\n", c.file("$reason"))
	must(t, os.WriteFile(c.file("script"), []byte(script), 0o700))
	t.Cleanup(func() {
		if t.Failed() && c.process != nil {
			t.Logf("dhcpcd on %s wrote:\n%s", node, c.process.Output())
		}
	})
	return c
}

func (c *dhcpcd) file(name string) string { return filepath.Join(c.folder, name) }

// start starts it with nothing but its DUID known.
func (c *dhcpcd) start() {
	c.Helper()
	// It has one place for its files on each machine.
	const alone = "mount -t tmpfs dhcpcd /var/lib/dhcpcd && mount -t tmpfs run /run && exec "
	var err error
	c.process, err = c.node.Start("unshare", "--mount", "sh", "-c",
		alone+fmt.Sprintf("dhcpcd -6 -B -d -f %s -c %s %s", c.file("conf"), c.file("script"), scene.CPEWAN))
	must(c.T, err)
}

// stop has it release what it holds, and end.
func (c *dhcpcd) stop() {
	c.Helper()
	must(c.T, c.process.Signal(syscall.SIGTERM))
	<-c.process.Done()
}

// eventLimit bounds the wait for an event.
const eventLimit = 45 * time.Second

// next waits for the next event of a kind, and returns what dhcpcd knew then.
func (c *dhcpcd) next(ctx context.Context, reason string) known {
	c.Helper()
	ctx, cancel := context.WithTimeout(ctx, eventLimit)
	defer cancel()
	for {
		text, err := os.ReadFile(c.file(reason))
		if err == nil {
			must(c.T, os.Remove(c.file(reason)))
			k := known{}
			for line := range strings.Lines(string(text)) {
				name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				k[name] = value
			}
			return k
		}
		select {
		case <-ctx.Done():
			c.Fatalf("no %s of dhcpcd: %v\n%s", reason, ctx.Err(), c.process.Output())
		case <-c.process.Done():
			c.Fatalf("dhcpcd ended before %s:\n%s", reason, c.process.Output())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// known is variables of dhcpcd.
type known map[string]string

// prefix is the delegated prefix.
func (k known) prefix() (netip.Prefix, error) {
	return netip.ParsePrefix(k["new_dhcp6_ia_pd1_prefix1"] + "/" + k["new_dhcp6_ia_pd1_prefix1_length"])
}

// softwire is what dhcpcd found in the option; false if there was none. It leaves
// port parameters as they are on the wire, behind the prefix that it has read.
func (k known) softwire() (w softwire.Softwire, ok bool, err error) {
	const bind = "new_dhcp6_s46_cont_lw_s46_v4v6bind_"
	if _, ok := k[bind+"ipv4_address"]; !ok {
		return w, false, nil
	}
	if w.IPv4, err = netip.ParseAddr(k[bind+"ipv4_address"]); err != nil {
		return w, false, err
	}
	if w.BR, err = netip.ParseAddr(k["new_dhcp6_s46_cont_lw_s64_br"]); err != nil {
		return w, false, err
	}
	prefix, err := k.prefix()
	if err != nil {
		return w, false, err
	}
	rest, err := hex.DecodeString(k[bind+"ipv6_prefix_and_options"])
	octets := (prefix.Bits() + 7) / 8
	if err != nil || len(rest) != octets+8 || k[bind+"ipv6_prefix_len"] != fmt.Sprint(prefix.Bits()) {
		return w, false, fmt.Errorf("a binding for %s/%s that is not for %s", k[bind+"ipv6_prefix_and_options"], k[bind+"ipv6_prefix_len"], prefix)
	}
	var params s46.PortParams
	if err := params.FromBytes(rest[octets+4:]); err != nil {
		return w, false, err
	}
	if w.PortSet, err = params.PortSet(); err != nil {
		return w, false, err
	}
	w.B4, err = softwire.TunnelAddress(prefix, w.IPv4, w.PortSet)
	return w, err == nil, err
}

// requireChain ends a test on a machine without the programs of others that it
// needs.
func requireChain(t *testing.T) {
	t.Helper()
	for program, pkg := range map[string]string{"dhcpcd": "dhcpcd-base", "dhcrelay": "isc-dhcp-relay", "unshare": "util-linux"} {
		netlab.RequireProgram(t, program, pkg)
	}
}
