package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// odhcp6cVariable names the program of odhcp6c where it is not on the PATH.
const odhcp6cVariable = "LW4O6_ODHCP6C"

// requireODHCP6C ends a test on a machine without odhcp6c, which Debian does not
// have.
func requireODHCP6C(t *testing.T) (program string) {
	t.Helper()
	if program := os.Getenv(odhcp6cVariable); program != "" {
		return program
	}
	program, err := exec.LookPath("odhcp6c")
	if err != nil {
		t.Skipf("needs odhcp6c: set %s to the program", odhcp6cVariable)
	}
	return program
}

// odhcp6c is the DHCPv6 client of that name, of OpenWrt.
type odhcp6c struct {
	*scripted
	program string
}

func newODHCP6C(t *testing.T, node *netlab.Namespace, program string) dhcpClient {
	t.Helper()
	return &odhcp6c{scripted: newScripted(t, node, "odhcp6c", "$2"), program: program}
}

// start runs it as OpenWrt does with what docs/dhcpv6.md has it configured: it asks
// for a prefix of any length, and for an address, too.
func (c *odhcp6c) start() {
	c.Helper()
	c.run(c.program, "-e", "-v", "-s", c.script, "-P0", "-F", "-r96", "-t120", scene.CPEWAN)
}

// next has it bound 10 seconds late, in which it would take in router advertisements,
// or when it renews before.
func (c *odhcp6c) next(ctx context.Context, e dhcpEvent) (h holding) {
	c.Helper()
	kinds := map[dhcpEvent]string{dhcpBound: "bound", dhcpRenewed: "updated", dhcpRebound: "rebound"}
	variables := c.await(ctx, kinds[e])
	// The prefix, its preferred and valid lifetimes; since 2024 T1 and T2.
	of := strings.Split(variables["PREFIXES"], ",")
	var err error
	h.prefix, err = netip.ParsePrefix(of[0])
	must(c.T, err)
	if len(of) > 3 {
		h.t1, err = time.ParseDuration(of[3] + "s")
		must(c.T, err)
	}
	h.softwire, err = readODHCP6C(h.prefix, variables["LW4O6"])
	must(c.T, err)
	return h
}

// readODHCP6C is the softwire of a rule of OpenWrt's; without an address if there is
// no rule. The PSID is left as it is on the wire.
func readODHCP6C(prefix netip.Prefix, rule string) (w softwire.Softwire, err error) {
	if rule == "" {
		return w, nil
	}
	values := make(map[string]string)
	for pair := range strings.SplitSeq(strings.TrimSuffix(rule, ", "), ",") {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	bind := values["ipv6prefix"] + "/" + values["prefix6len"]
	if values["type"] != "lw4o6" || values["prefix4len"] != "32" || bind != prefix.String() {
		return w, fmt.Errorf("a binding for %s: %s", prefix, rule)
	}
	if w.IPv4, err = netip.ParseAddr(values["ipv4prefix"]); err != nil {
		return w, err
	}
	if w.BR, err = netip.ParseAddr(values["br"]); err != nil {
		return w, err
	}
	numbers := make(map[string]uint16)
	for _, name := range []string{"offset", "psidlen", "psid"} {
		n, err := strconv.ParseUint(values[name], 10, 16)
		if err != nil {
			return w, fmt.Errorf("%s of %s: %w", name, rule, err)
		}
		numbers[name] = uint16(n)
	}
	length := numbers["psidlen"]
	w.PortSet, err = portset.Of(uint8(numbers["offset"]), uint8(length), numbers["psid"]>>(16-length))
	if err != nil {
		return w, err
	}
	w.B4, err = softwire.TunnelAddress(prefix, w.IPv4, w.PortSet)
	return w, err
}
