package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config"
)

// TestEveryCommandExplainsItself walks all commands.
func TestEveryCommandExplainsItself(t *testing.T) {
	n := 0
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		n++
		name := strings.Join(path, " ")
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("lwaftr %s lacks a description or an example", name)
		}
		r := lwaftr(t, append(path, "--help")...).want(t, exitOK)
		if !strings.Contains(r.out, strings.TrimSpace(strings.SplitN(c.Example, "\n", 2)[0])) || r.errors != "" {
			t.Errorf("lwaftr %s --help:\n%s%s", name, r.out, r.errors)
		}
		for _, sub := range c.Commands() {
			walk(sub, append(path[:len(path):len(path)], sub.Name()))
		}
	}
	walk(newRoot(), nil)
	if n != 45 {
		t.Errorf("%d commands, want 45", n)
	}
}

func TestBadUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"nothing", `lwaftr: unknown command "nothing" for "lwaftr" (see lwaftr --help)`},
		{"run now", `lwaftr: unknown command "now" for "lwaftr run" (see lwaftr --help)`},
		{"run --fast", "lwaftr: unknown flag: --fast (see lwaftr --help)"},
		{"run -c", "lwaftr: flag needs an argument: 'c' in -c (see lwaftr --help)"},
		{"show", "lwaftr: show what? softwires, counters, status or pools (see lwaftr --help)"},
		{"show nothing", `lwaftr: unknown command "nothing" for "lwaftr show" (see lwaftr --help)`},
		{"show status -o xml", `lwaftr: invalid argument "xml" for "-o, --output" flag: must be table, json or csv (see lwaftr --help)`},
		{"show status --socket a --config b", "lwaftr: if any flags in the group [socket config server] are set none of the others can be; [config socket] were all set (see lwaftr --help)"},
		{"show softwires --ipv4 2001:db8::1", `lwaftr: --ipv4: "2001:db8::1" is not an IPv4 address`},
		{"show softwires --b4 x", `lwaftr: --b4: "x" is not an IPv6 address`},
		{"pcp", "lwaftr: pcp what? map, delete or announce (see lwaftr --help)"},
		{"pcp announce", `lwaftr: --server: "" is not an IP address`},
		{"pcp announce --server ::1 --source x", `lwaftr: --source: "x" is not an IP address`},
		{"pcp delete --server ::1", "lwaftr: --nonce is needed: map printed it"},
		{"pcp map --server ::1 --nonce 01", `lwaftr: --nonce: "01" is not 24 hexadecimal digits`},
		{"pcp map --server ::1 --third-party x", `lwaftr: --third-party: "x" is not an IP address`},
		{"pcp map --server ::1 --suggested 192.0.2.1", `lwaftr: --suggested: "192.0.2.1" is not an address and a port, such as 192.0.2.1:2048`},
		{"pcp map --server ::1 --ports 0", "lwaftr: a mapping that PCP cannot ask for: port 1 of all protocols without a port set"},
		{"trace", "lwaftr: --side must be ipv4 or ipv6"},
		{"trace --side left", "lwaftr: --side must be ipv4 or ipv6"},
		{"trace --side ipv4", `lwaftr: --inner-src: "" is not an IPv4 address`},
		{"trace --side ipv4 --inner-src 192.0.2.1", `lwaftr: --inner-dst: "" is not an IPv4 address`},
		{"trace --side ipv4 --inner-src 192.0.2.1 --inner-dst 192.0.2.2 --proto x", `lwaftr: --proto: "x" is neither tcp, udp, icmp nor a number from 0 to 255`},
		{"trace --side ipv4 --inner-src 192.0.2.1 --inner-dst 192.0.2.2 --outer-src 2001:db8::1", "lwaftr: --outer-src and --outer-dst are for --side ipv6"},
		{"trace --outer-src 2001:db8::1 --inner-src 192.0.2.1 --inner-dst 192.0.2.2", `lwaftr: --outer-dst: "" is not an IPv6 address`},
		{"trace --side ipv4 --inner-src 192.0.2.1 --inner-dst 192.0.2.2 --length 27", "lwaftr: --length 27: the packet has at least 28 octets"},
		{"trace --side ipv4 --sport 65536", `lwaftr: invalid argument "65536" for "--sport" flag: strconv.ParseUint: parsing "65536": value out of range (see lwaftr --help)`},
		{"trace --side ipv4 --hex 4", "lwaftr: --hex: want an even number of hexadecimal digits for at most 65575 octets"},
		{"trace --side ipv4 --hex 45 --ttl 3", "lwaftr: --ttl has no meaning with --hex"},
		{"trace --side ipv4 --hex 45 --offline", "lwaftr: --offline needs -c"},
		{"who", "lwaftr: accepts 1 arg(s), received 0 (see lwaftr --help)"},
		{"who 192.0.2.7", `lwaftr: "192.0.2.7": want an IPv4 address and a port, such as 192.0.2.7:31337`},
		{"who [2001:db8::1]:80", `lwaftr: "[2001:db8::1]:80": want an IPv4 address and a port, such as 192.0.2.7:31337`},
		{"who 192.0.2.7:80 --at yesterday", "lwaftr: --at yesterday: want a time such as 2026-03-05T14:03:07Z"},
		{"who 192.0.2.7:80 --files a --socket b", "lwaftr: if any flags in the group [files socket config server] are set none of the others can be; [files socket] were all set (see lwaftr --help)"},
		{"history --ipv4 2001:db8::/32", "lwaftr: --ipv4 2001:db8::/32: want an IPv4 address or prefix"},
		{"history --ipv4 x", "lwaftr: --ipv4 x: want an address or a prefix"},
		{"history --port 65536", "lwaftr: --port 65536: want 0 to 65535"},
		{"history --subscriber 192.0.2.7", "lwaftr: --subscriber 192.0.2.7: want an IPv6 prefix or address"},
		{"history --b4 192.0.2.7", `lwaftr: --b4: "192.0.2.7" is not an IPv6 address`},
		{"history --from 2026-03-05", "lwaftr: --from 2026-03-05: want a time such as 2026-03-05T14:03:07Z"},
		{"history --to x", "lwaftr: --to x: want a time such as 2026-03-05T14:03:07Z"},
		{"run -c /nonexistent/f", "/nonexistent/f: no such file or directory"},
		{"check -c /nonexistent/f", "/nonexistent/f: no such file or directory"},
		{"reload -c /nonexistent/f", "/nonexistent/f: no such file or directory"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			r := lwaftr(t, strings.Fields(tt.args)...).want(t, exitUsage)
			if diff := cmp.Diff([]string{tt.want}, r.lines()); diff != "" || r.out != "" {
				t.Errorf("stdout %q, stderr: -want +got:\n%s", r.out, diff)
			}
		})
	}
}

func TestWithoutRouter(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	for _, args := range [][]string{{"show", "status"}, {"show", "softwires"}, {"show", "softwires", "-o", "json"}, {"show", "counters"},
		{"show", "pools"}, {"reload"}, {"bgp", "peers"}, {"drain"}, {"undrain"}, {"trace", "--side", "ipv4", "--hex", "45"}} {
		r := lwaftr(t, append(args, "--socket", socket)...).want(t, exitFailure)
		if diff := cmp.Diff([]string{"lwaftr: " + socket + ": no router listens there; is it running?"}, r.lines()); diff != "" {
			t.Errorf("%v: -want +got:\n%s", args, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	path := configure(t, dir, "", "192.0.2.1,1,2001:db8::1")
	r := lwaftr(t, "check", "-c", path).want(t, exitOK)
	if r.out != path+": good: 1 pools, 1 softwires\n" {
		t.Errorf("stdout %q", r.out)
	}
	if diff := cmp.Diff([]string{dir + "/s.csv: 1 softwires read, 0 of 0 KiB"}, r.lines()); diff != "" {
		t.Errorf("progress: -want +got:\n%s", diff)
	}

	configure(t, dir, "", "192.0.2.1,1,2001:db8::1", "192.0.2.1,99,2001:db8::1")
	r = lwaftr(t, "check", "-c", path).want(t, exitUsage)
	if last := r.lines()[len(r.lines())-1]; last != dir+"/s.csv:3: psid: psid 99 with psid-len 6: psid does not fit in psid-len bits" {
		t.Errorf("stderr %q", r.errors)
	}

	configure(t, dir, "log: {level: loud, colour: red}\ndslite: {}\n")
	want := []string{
		path + ":5: log.colour: unknown; known here: level, format",
		path + ":6: dslite: unknown; known here: log, pools, softwires, store, history, dataplane, pcp, dhcpv6, bgp, control, metrics",
	}
	for _, command := range []string{"check", "run"} {
		r = lwaftr(t, command, "-c", path).want(t, exitUsage)
		if diff := cmp.Diff(want, r.lines()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", command, diff)
		}
	}
}

func TestCheckForPrograms(t *testing.T) {
	dir := t.TempDir()
	path := configure(t, dir, "", "192.0.2.1,1,2001:db8::1")
	is := func(r result, want checked) {
		t.Helper()
		var got checked
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	is(lwaftr(t, "check", "-c", path, "-o", "json").want(t, exitOK), checked{File: path, Pools: 1, Softwires: 1, Errors: []config.Problem{}})

	configure(t, dir, "", "192.0.2.1,99,2001:db8::1")
	is(lwaftr(t, "check", "-c", path, "-o", "json").want(t, exitUsage), checked{File: path, Errors: []config.Problem{
		{File: dir + "/s.csv", Line: 2, Element: "psid", Message: "psid 99 with psid-len 6: psid does not fit in psid-len bits"},
	}})

	configure(t, dir, "log: {level: loud, colour: red}\ndslite: {}\n")
	r := lwaftr(t, "check", "-c", path, "-o", "json").want(t, exitUsage)
	is(r, checked{File: path, Errors: []config.Problem{
		{File: path, Line: 5, Element: "log.colour", Message: "unknown; known here: level, format"},
		{File: path, Line: 6, Element: "dslite", Message: "unknown; known here: log, pools, softwires, store, history, dataplane, pcp, dhcpv6, bgp, control, metrics"},
	}})
	// People are told the same with it and without.
	if diff := cmp.Diff(lwaftr(t, "check", "-c", path).want(t, exitUsage).lines(), r.lines()); diff != "" {
		t.Errorf("-without +with:\n%s", diff)
	}
}

func TestPrintReference(t *testing.T) {
	r := lwaftr(t, "check", "--print-reference").want(t, exitOK)
	if r.out != plugin.Reference() {
		t.Error("what is printed is not the reference")
	}
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte(r.out), 0o600); err != nil {
		t.Fatal(err)
	}
	lwaftr(t, "check", "-c", path).want(t, exitOK)
}

func TestVersion(t *testing.T) {
	if r := lwaftr(t, "version").want(t, exitOK); !strings.HasPrefix(r.out, "lwaftr ") || !strings.Contains(r.out, "go1.") {
		t.Errorf("stdout %q", r.out)
	}
}

// brokenPipe is a standard output that nobody reads any more.
type brokenPipe struct{}

var errBroken = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

func TestBrokenPipe(t *testing.T) {
	path := configure(t, t.TempDir(), "", "192.0.2.1,1,2001:db8::1")
	for _, args := range [][]string{
		{"version"}, {"check", "-c", path}, {"check", "-c", path, "-o", "json"}, {"check", "--print-reference"},
		{"trace", "--offline", "-c", path, "--inner-src", "203.0.113.1", "--inner-dst", "192.0.2.1"},
		{"trace", "--offline", "-c", path, "--inner-src", "203.0.113.1", "--inner-dst", "192.0.2.1", "-o", "json"},
	} {
		if code := execute(t.Context(), args, brokenPipe{}, t.Output()); code != exitFailure {
			t.Errorf("%v: exit code %d, want %d", args, code, exitFailure)
		}
	}
}
