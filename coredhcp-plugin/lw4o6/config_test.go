package lw4o6

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/configtest"
)

// unchecked is a Config that is read without being validated.
type unchecked Config

// TestReference: the reference is a good file as it is, and has every key with what
// holds if it is left out.
func TestReference(t *testing.T) {
	if _, err := LoadFile(write(t, Reference())); err != nil {
		t.Error(err)
	}
	c := unchecked(DefaultConfig())
	if leaves := configtest.Covers(t, Reference(), &c); leaves < 35 {
		t.Errorf("only %d keys were looked at", leaves)
	}
}

// TestSameWords: what is below dhcpv6 is explained as in lwaftr's reference, which
// has the same keys and some more.
func TestSameWords(t *testing.T) {
	type whole plugin.Config
	mine, theirs := unchecked(DefaultConfig()), whole(plugin.DefaultConfig())
	others := configtest.Comments(t, plugin.Reference(), &theirs)
	same := 0
	for path, comment := range configtest.Comments(t, Reference(), &mine) {
		if !strings.HasPrefix(path, "dhcpv6.") {
			continue
		}
		if others[path] != comment {
			t.Errorf("%s: %q, and in lwaftr's %q", path, comment, others[path])
		}
		same++
	}
	if same < 30 {
		t.Errorf("only %d keys were compared", same)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lw4o6.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// least is a complete file.
const least = `store: /var/lib/lw4o6/dhcpv6.db
router: {socket: /run/lw4o6/control.sock}
dhcpv6:
  pools:
    - {name: access, prefixes: ["2001:db8:100::/40"]}
`

// TestLoadFile: a short file has the defaults, and what is wrong is found where it
// stands.
func TestLoadFile(t *testing.T) {
	c, err := LoadFile(write(t, least))
	if err != nil {
		t.Fatal(err)
	}
	want := server.DefaultConfig()
	if diff := cmp.Diff(want, c.DHCPv6, cmpopts.IgnoreFields(server.Config{}, "Pools")); diff != "" {
		t.Errorf("differs from the defaults: %s", diff)
	}
	const pools = "[\"2001:db8:100::/40\"]}"
	for _, bad := range []struct{ name, from, to, want string }{
		{"no argument of the store", "/var/lib/lw4o6/dhcpv6.db", "dhcpv6.db", ":1: store: "},
		{"two routers", "socket: ", "address: \"r:1\", socket: ", ":2: router: "},
		{"no router", "socket: /run/lw4o6/control.sock", "", ":2: router: "},
		{"TLS without a certificate", "socket: /run/lw4o6/control.sock", "address: \"r:1\", ca: /a", ":2: router: "},
		{"a relative socket", "/run/lw4o6/control.sock", "control.sock", ":2: router.socket: "},
		{"an unknown key", "pools:", "pool:", ":4: dhcpv6.pool: "},
		{"interfaces", pools, "[\"2001:db8:100::/40\"], interfaces: [eth0]}", ":5: dhcpv6.pools[0].interfaces: "},
		{"a bad identity", "  pools:", "  identity: mac\n  pools:", ":4: dhcpv6.identity: "},
		{"a lifetime shorter than retry", pools, "[\"2001:db8:100::/40\"], valid-lifetime: 2m, preferred-lifetime: 1m}", ":5: dhcpv6.pools[0].valid-lifetime: "},
		{"the same name twice", pools, pools + "\n    - {name: access, prefixes: [\"2001:db9::/40\"]}", ":6: dhcpv6.pools[1].name: "},
		{"overlapping pools", pools, pools + "\n    - {name: other, prefixes: [\"2001:db8:100::/48\"]}", ":6: dhcpv6.pools[1].prefixes: "},
		{"a name without a BR", pools, "[\"2001:db8:100::/40\"], mechanism: pcp, aftr-name: a.example}", ":5: dhcpv6.pools[0].aftr-name: "},
		{"a name without PCP", pools, "[\"2001:db8:100::/40\"], br-ipv6-addr: \"2001:db8::1\", aftr-name: a.example}", ":5: dhcpv6.pools[0].aftr-name: "},
		{"a name that is none", pools, "[\"2001:db8:100::/40\"], mechanism: pcp, br-ipv6-addr: \"2001:db8::1\", aftr-name: \"a..b\"}", ":5: dhcpv6.pools[0].aftr-name: "},
		{"a multicast PCP server", pools, "[\"2001:db8:100::/40\"], pcp-servers: [\"ff02::1\"]}", ":5: dhcpv6.pools[0].pcp-servers: "},
		{"a multicast name server", pools, "[\"2001:db8:100::/40\"], dns-servers: [\"2001:db8::53\", \"ff02::fb\"]}", ":5: dhcpv6.pools[0].dns-servers[1]: "},
		{"too much preference", "  pools:", "  preference: 256\n  pools:", ":4: dhcpv6.preference: "},
		{"a priority twice", pools, "[\"2001:db8:100::/40\"], priority: [96, 96]}", ":5: dhcpv6.pools[0].priority: "},
		{"4o6 servers that are not sent", pools, "[\"2001:db8:100::/40\"], dhcp4o6-servers: [\"2001:db8::1\"]}", ":5: dhcpv6.pools[0].dhcp4o6-servers: "},
	} {
		_, err := LoadFile(write(t, strings.Replace(least, bad.from, bad.to, 1)))
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %q", bad.name, err, bad.want)
		}
	}
}

// FuzzConfig: no text makes the loader panic.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(least))
	f.Add([]byte(Reference()))
	f.Add([]byte(configtest.SwitchOn(Reference())))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := DefaultConfig()
		if _, err := config.Parse("f", data, &c); err == nil && c.Validate() != nil {
			t.Error("accepted, and not valid")
		}
	})
}
