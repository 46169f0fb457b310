package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// dhcpcd is the DHCPv6 client of that name, of BSD and Debian.
type dhcpcd struct {
	*scripted
	config string
}

func newDHCPCD(t *testing.T, node *netlab.Namespace) dhcpClient {
	t.Helper()
	c := &dhcpcd{scripted: newScripted(t, node, "dhcpcd", "$reason")}
	c.config = filepath.Join(c.folder, "conf")
	const text = "duid ll\nrelease\nnoipv6rs\nallowinterfaces %[1]s\ninterface %[1]s\n  ia_pd 1\n  option dhcp6_s46_cont_lw\n"
	must(t, os.WriteFile(c.config, fmt.Appendf(nil, text, scene.CPEWAN), 0o600))
	return c
}

func (c *dhcpcd) start() {
	c.Helper()
	// It has one place for its files on each machine.
	const alone = "mount -t tmpfs dhcpcd /var/lib/dhcpcd && mount -t tmpfs run /run && exec "
	c.run("unshare", "--mount", "sh", "-c", alone+fmt.Sprintf("dhcpcd -6 -B -d -f %s -c %s %s", c.config, c.script, scene.CPEWAN))
}

func (c *dhcpcd) next(ctx context.Context, e dhcpEvent) (h holding) {
	c.Helper()
	kinds := map[dhcpEvent]string{dhcpBound: "BOUND6", dhcpRenewed: "RENEW6", dhcpRebound: "REBIND6"}
	variables := c.await(ctx, kinds[e])
	const pd = "new_dhcp6_ia_pd1_"
	var err error
	h.prefix, err = netip.ParsePrefix(variables[pd+"prefix1"] + "/" + variables[pd+"prefix1_length"])
	must(c.T, err)
	h.t1, err = time.ParseDuration(variables[pd+"t1"] + "s")
	must(c.T, err)
	h.softwire, err = readDHCPCD(h.prefix, variables)
	must(c.T, err)
	return h
}

// readDHCPCD is what dhcpcd found in the option; without an address if there was
// none. It leaves port parameters as they are on the wire, behind the prefix that it
// has read.
func readDHCPCD(prefix netip.Prefix, variables map[string]string) (w softwire.Softwire, err error) {
	const bind = "new_dhcp6_s46_cont_lw_s46_v4v6bind_"
	if _, ok := variables[bind+"ipv4_address"]; !ok {
		return w, nil
	}
	if w.IPv4, err = netip.ParseAddr(variables[bind+"ipv4_address"]); err != nil {
		return w, err
	}
	if w.BR, err = netip.ParseAddr(variables["new_dhcp6_s46_cont_lw_s64_br"]); err != nil {
		return w, err
	}
	rest, err := hex.DecodeString(variables[bind+"ipv6_prefix_and_options"])
	octets := (prefix.Bits() + 7) / 8
	if err != nil || len(rest) != octets+8 || variables[bind+"ipv6_prefix_len"] != fmt.Sprint(prefix.Bits()) {
		return w, fmt.Errorf("a binding for %s/%s that is not for %s", variables[bind+"ipv6_prefix_and_options"], variables[bind+"ipv6_prefix_len"], prefix)
	}
	var params s46.PortParams
	if err := params.FromBytes(rest[octets+4:]); err != nil {
		return w, err
	}
	if w.PortSet, err = params.PortSet(); err != nil {
		return w, err
	}
	w.B4, err = softwire.TunnelAddress(prefix, w.IPv4, w.PortSet)
	return w, err
}
