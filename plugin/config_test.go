package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/configtest"
)

// good is a whole configuration; the tests change single lines of it.
const good = `log: {level: info}
pools:
  - name: a
    prefixes: [192.0.2.0/24]
    psid-len: 6
    br-ipv6-addr: 2001:db8:ffff::1
  - name: b
    prefixes: [198.51.100.0/24]
    psid-len: 0
    br-ipv6-addr: 2001:db8:ffff::2
softwires:
  static:
    - {binding-ipv4-addr: 192.0.2.1, psid: 1, binding-ipv6info: 2001:db8::1}
    - {binding-ipv4-addr: 198.51.100.1, binding-ipv6info: 2001:db8::2}
  files: []
dataplane:
  type: forwarder
  forwarder:
    tunnel-mtu: 1540
    filters:
      ipv4-in:
        - {action: drop, source: 10.0.0.0/8}
    io:
      ipv4: {type: tun, name: v4}
      ipv6: {type: packet, name: eth1, next-hop: 2001:db8:fffe::1}
control:
  socket: /run/lw4o6/control.sock
`

// load writes text to a file and loads and checks it.
func load(t *testing.T, text string) (*File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := LoadFile(path)
	if err != nil {
		return nil, err
	}
	_, err = f.Check(t.Context(), nil)
	return f, err
}

func TestLoadFile(t *testing.T) {
	f, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	c := f.Config
	if c.Dataplane.Forwarder.TunnelMTU != 1540 || c.Dataplane.Forwarder.IPv4MTU != 1500 || c.Dataplane.Forwarder.HopLimit != 64 {
		t.Errorf("settings of the forwarder: %+v", c.Dataplane.Forwarder)
	}
	io, err := c.Dataplane.Forwarder.ports()
	if err != nil {
		t.Fatal(err)
	}
	if io.IPv4.Name != "v4" || io.IPv4.MTU != 1500 || io.IPv6.MTU != 0 || !io.IPv6.NextHop.IsValid() || io.NoOffload {
		t.Errorf("devices: %+v", io)
	}
	c.Dataplane.Forwarder.IO.IPv6 = DeviceConfig{Type: "tun", Name: "v4"}
	if io, err = c.Dataplane.Forwarder.ports(); err != nil || io.IPv4.MTU != 1540 || io.IPv6.MTU != 1540 {
		t.Errorf("one device for both sides: %+v, %v", io, err)
	}
}

// TestBadFiles: each bad line gives exactly these errors, "f" standing for the
// file.
func TestBadFiles(t *testing.T) {
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"unknown section", "control:\n", "contrl:\n", []string{"f:26: contrl: unknown; known here: log, pools, softwires, store, history, dataplane, pcp, dhcpv6, bgp, control, metrics"}},
		{"later section", "control:\n", "dslite: {}\ncontrol:\n", []string{"f:26: dslite: unknown; known here: log, pools, softwires, store, history, dataplane, pcp, dhcpv6, bgp, control, metrics"}},
		{"metrics without a port", "control:\n", "metrics: {listen: \"127.0.0.1:0\"}\ncontrol:\n", []string{"f:26: metrics.listen: 127.0.0.1:0 has no port; use an IP address and a port, such as [::1]:9446"}},
		{"log level", "level: info", "level: loud", []string{`f:1: log.level: "loud" is neither error, warning, info, debug nor trace`}},
		{"log level that ends the process", "level: info", "level: fatal", []string{`f:1: log.level: "fatal" is neither error, warning, info, debug nor trace`}},
		{"log format", "level: info", "format: xml", []string{`f:1: log.format: "xml" is neither text nor json`}},
		{"pool without a name", "- name: a\n   ", "-", []string{"f:3: pools[0].name: is missing"}},
		{"pools overlap", "198.51.100.0/24", "192.0.2.128/25", []string{`f:8: pools[1].prefixes[0]: 192.0.2.128/25 overlaps 192.0.2.0/24 of pool "a"`}},
		{"psid-len too long", "psid-len: 6", "psid-len: 17", []string{"f:5: pools[0].psid-len: psid-offset 0, psid-len 17: psid-offset plus psid-len must be at most 16"}},
		{"psid-len negative", "psid-len: 6", "psid-len: -1", []string{`f:5: pools[0].psid-len: "-1" is not a whole decimal number from 0 to 255`}},
		{"BR of the wrong family", "br-ipv6-addr: 2001:db8:ffff::2", "br-ipv6-addr: 192.0.2.1", []string{"f:10: pools[1].br-ipv6-addr: 192.0.2.1 is not a global IPv6 unicast address"}},
		{"softwire in no pool", "binding-ipv4-addr: 192.0.2.1,", "binding-ipv4-addr: 203.0.113.1,", []string{"f:13: softwires.static[0].binding-ipv4-addr: 203.0.113.1 is in no pool"}},
		{"softwire without psid", "psid: 1, ", "", []string{"f:13: softwires.static[0].psid: is missing: with psid-len 6 an address has 64 port sets"}},
		{"psid too large", "psid: 1,", "psid: 64,", []string{"f:13: softwires.static[0].psid: psid 64 with psid-len 6: psid does not fit in psid-len bits"}},
		{"softwire twice", "198.51.100.1, binding", "192.0.2.1, psid: 1, binding", []string{
			"f:14: softwires.static[1]: conflicting softwires: 192.0.2.1 psid 0/6/1 lwB4 2001:db8::2 BR 2001:db8:ffff::1 is there already as 192.0.2.1 psid 0/6/1 lwB4 2001:db8::1 BR 2001:db8:ffff::1"}},
		{"file that is not there", "files: []", "files: [{path: /nonexistent.csv}]", []string{"f:15: softwires.files[0].path: /nonexistent.csv: no such file or directory"}},
		{"file of no format", "files: []", "files: [{path: x}]", []string{`f:15: softwires.files[0].format: is needed: the extension of "x" is neither .json, .csv, .yaml nor .yml`}},
		{"no such data plane", "type: forwarder", "type: dpdk", []string{`f:17: dataplane.type: "dpdk" is not a data plane; use "forwarder" or "vpp"`}},
		{"VPP: socket", "type: forwarder", "vpp: {api-socket: api.sock}", []string{`f:17: dataplane.vpp.api-socket: "api.sock" is not an absolute path of at most 107 octets`}},
		{"VPP: MTU", "type: forwarder", "vpp: {tunnel-mtu: 1000}", []string{"f:17: dataplane.vpp.tunnel-mtu: 1000 is not between 1280 and 65535"}},
		{"VPP: fragments", "type: forwarder", "vpp: {reassembly: {ipv6: {timeout: 2m}}}", []string{"f:17: dataplane.vpp.reassembly.ipv6.timeout: 2m0s is not between 0s and 1m0s"}},
		{"VPP: what it cannot do", "type: forwarder", "vpp: {hop-limit: 64}", []string{"f:17: dataplane.vpp.hop-limit: unknown; known here: api-socket, stats-socket, punt-socket, exception-socket, instance, interfaces, " +
			"ipv4-table, ipv6-table, own-tables, answer-psid-len, script-lines, exception-rate, call-timeout, ping-interval, unresponsive, probe-timeout, retry-min, retry-max, " +
			"ipv4-address, ipv4-mtu, tunnel-mtu, hairpin, ignore-df, clamp-mss, icmpv4, icmpv6, reassembly, exception-queue"}},
		{"VPP: interface without a name", "type: forwarder", "vpp: {interfaces: {ipv4: [{vlan: 5}]}}", []string{"f:17: dataplane.vpp.interfaces.ipv4[0].name: is missing"}},
		{"VPP: interface", "type: forwarder", "vpp: {interfaces: {ipv6: [{name: eth0, vlan: 4095, addresses: [192.0.2.1/24]}]}}", []string{
			"f:17: dataplane.vpp.interfaces.ipv6[0].vlan: 4095 is not between 0 and 4094",
			"f:17: dataplane.vpp.interfaces.ipv6[0].addresses[0]: 192.0.2.1/24 is no address of the ipv6 side"}},
		{"VPP: own address in a pool", "type: forwarder", "type: vpp\n  vpp: {ipv4-address: 198.51.100.7}", []string{`f:18: dataplane.vpp.ipv4-address: 198.51.100.7 is in pool "b", whose addresses are for lwB4s: use one outside of all pools`}},
		{"VPP: own address of an interface", "type: forwarder", "vpp: {ipv4-address: 203.0.113.9, interfaces: {ipv4: [{name: eth0, addresses: [203.0.113.1/24]}]}}", []string{
			"f:17: dataplane.vpp.ipv4-address: 203.0.113.9 is in the subnet 203.0.113.0/24 of interfaces.ipv4[0], where VPP lets no other interface have it: use one outside"}},
		{"MTU", "tunnel-mtu: 1540", "tunnel-mtu: 1000", []string{"f:19: dataplane.forwarder.tunnel-mtu: 1000 is not between 1280 and 65535"}},
		{"MTU of a TUN device", "tunnel-mtu: 1540", "ipv4-mtu: 60", []string{"f:19: dataplane.forwarder.ipv4-mtu: 60 is not between 68 and 65535"}},
		{"own address in a pool", "tunnel-mtu: 1540", "ipv4-address: 198.51.100.7", []string{`f:19: dataplane.forwarder.ipv4-address: 198.51.100.7 is in pool "b", whose addresses are for lwB4s: use one outside of all pools`}},
		{"own address given to the host", "name: v4}", "name: v4, addresses: [203.0.113.1/24, 192.0.0.8/32]}", []string{"f:18: dataplane.forwarder.ipv4-address: 192.0.0.8 is item 1 of io.ipv4.addresses, which are for the host: use another one"}},
		{"filter", "source: 10.0.0.0/8", "source: 2001:db8::/32", []string{"f:22: dataplane.forwarder.filters.ipv4-in[0].source: 2001:db8::/32 is of the wrong address family"}},
		{"filter without an action", "action: drop, ", "", []string{"f:22: dataplane.forwarder.filters.ipv4-in[0].action: is missing"}},
		{"device type", "type: tun", "type: tap", []string{`f:23: dataplane.forwarder.io: "tap" is not a kind of device: use tun or packet`}},
		{"device name", "name: v4", "name: much-too-long-for-linux", []string{`f:23: dataplane.forwarder.io: ipv4 device: name "much-too-long-for-linux" must have 1 to 15 characters`}},
		{"next hop of a tun", "name: v4", "name: v4, next-hop: 192.0.2.1", []string{"f:23: dataplane.forwarder.io: ipv4 device: a next hop is for packet devices; a tun device has none"}},
		{"retry", "  type: forwarder", "  reconcile: {retry-min: 1m}", []string{"f:17: dataplane.reconcile.retry-min: 1m0s: must not exceed retry-max (30s)"}},
		{"socket", "socket: /run", "socket: run", []string{`f:27: control.socket: "run/lw4o6/control.sock" is not an absolute, clean path`}},
		{"BGP: no state file", "control:\n", peering + "}]}\ncontrol:\n", []string{"f:26: bgp.announce.state-file: is missing: it keeps drains and holds over a restart"}},
		{"BGP: part of a pool", "control:\n", peering + "}], announce: {state-file: /s, aggregates: [192.0.2.0/25]}}\ncontrol:\n", []string{
			`f:26: bgp.announce.aggregates[0]: 192.0.2.0/25 is more specific than 192.0.2.0/24 of pool "a": announce all of it, or make it two pools`}},
		{"BGP: blackhole", "control:\n", peering + "}], announce: {state-file: /s, blackhole: {addresses: [192.0.2.7]}}}\ncontrol:\n", []string{
			"f:26: bgp.announce.blackhole.addresses: an address is that of many subscribers, who all go without: set blackhole.enabled if you mean it"}},
		{"BGP: restart of what forwards", "control:\n", peering + ", graceful-restart: 60s}], announce: {state-file: /s}}\ncontrol:\n", []string{
			"f:26: bgp.peers[0].graceful-restart: nothing is forwarded while the router is away, so peers must not keep its routes: leave it out, or use the data plane vpp"}},
		{"BGP: peer in a pool", "control:\n", strings.Replace(peering, "203.0.113.2", "198.51.100.2", 1) + "}], announce: {state-file: /s}}\ncontrol:\n", []string{
			`f:26: bgp.peers[0].address: 198.51.100.2 is in pool "b", whose addresses are for lwB4s`}},
		{"BGP: no such pool", "control:\n", peering + ", pools: [x]}], announce: {state-file: /s}}\ncontrol:\n", []string{`f:26: bgp.peers[0].pools[0]: there is no pool "x"`}},
		{"several at once", "level: info}", "level: loud}\ndataplan: {}", []string{"f:2: dataplan: unknown; known here: log, pools, softwires, store, history, dataplane, pcp, dhcpv6, bgp, control, metrics"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(good, tt.old, tt.new, 1)
			if text == good {
				t.Fatalf("%q is not in the good file", tt.old)
			}
			_, err := load(t, text)
			if err == nil {
				t.Fatal("accepted")
			}
			var got []string
			for _, line := range strings.Split(err.Error(), "\n") {
				_, after, _ := strings.Cut(line, "/f:")
				got = append(got, "f:"+after)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			var errs config.Errors
			if !errors.As(err, &errs) {
				t.Errorf("the error is %T", err)
			}
		})
	}
}

// peering is the beginning of a BGP section, up to the keys of the first peer.
const peering = "bgp: {router-id: 203.0.113.1, as: 64500, peers: [{name: x, address: 203.0.113.2, as: 64501, families: [ipv4]"

func TestBadRowHasItsOwnPlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s.csv"), []byte("binding-ipv4-addr,psid,binding-ipv6info\n192.0.2.1,1,2001:db8::1\n192.0.2.9,64,2001:db8::9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte(strings.Replace(good, "files: []", "files: [{path: s.csv}]", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Check(t.Context(), nil)
	want := []string{
		dir + "/s.csv:2: conflicting softwires",
		dir + "/s.csv:3: psid: psid 64 with psid-len 6: psid does not fit in psid-len bits",
	}
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) != len(want) {
		t.Fatalf("got %v", err)
	}
	for i, e := range errs {
		line := e.Error()
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("got %q, want %q", line, want[i])
		}
	}
}

func TestLogConfigApply(t *testing.T) {
	log := logrus.New()
	for _, c := range []LogConfig{{"debug", LogJSON}, {"error", LogText}} {
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		c.Apply(log)
		if log.GetLevel().String() != c.Level {
			t.Errorf("level is %s, want %s", log.GetLevel(), c.Level)
		}
		if _, ok := log.Formatter.(*logrus.JSONFormatter); ok != (c.Format == LogJSON) {
			t.Errorf("formatter is %T for %s", log.Formatter, c.Format)
		}
	}
}

// FuzzConfig: no text makes the loader panic, and what it accepts can be
// composed.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(Reference()))
	f.Add([]byte(configtest.SwitchOn(Reference())))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := DefaultConfig()
		if _, err := config.Parse("f", data, &c); err != nil {
			return
		}
		if _, err := New(c); err != nil {
			t.Errorf("accepted, and then: %v", err)
		}
	})
}
