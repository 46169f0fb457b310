package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/settings"
	"github.com/lwaftr/lw4o6/plugin/config"
)

// invoke runs the program and returns what it said.
func invoke(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExampleFileIsRight(t *testing.T) {
	code, out, errs := invoke("check", "-c", "lwb4.yaml")
	want := "softwire 192.0.2.1 psid 0/6/5 lwB4 2001:db8:1::1 BR 2001:db8:ffff::1, 1024 ports for 192.168.1.0/24 on lan0\n"
	if code != exitOK || out != want || errs != "" {
		t.Errorf("exit code %d, output %q, errors %q, want %q", code, out, errs, want)
	}
}

// TestExampleFileStatesDefaults checks the file with its comments taken off:
// whatever it calls a default must not change anything.
func TestExampleFileStatesDefaults(t *testing.T) {
	text, err := os.ReadFile("lwb4.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var plain []string
	active := 0
	for _, line := range strings.Split(string(text), "\n") {
		bare := strings.TrimPrefix(strings.TrimLeft(line, " "), "# ")
		if strings.HasPrefix(strings.TrimLeft(line, " "), "# ") && strings.Contains(bare, ":") {
			indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
			line = indent + bare
			active++
		}
		plain = append(plain, line)
	}
	if active < 8 {
		t.Fatalf("only %d defaults found", active)
	}
	file := write(t, strings.Join(plain, "\n"))
	_, want, _ := invoke("check", "-c", "lwb4.yaml")
	code, out, errs := invoke("check", "-c", file)
	if code != exitOK || out != want {
		t.Errorf("exit code %d, output %q, errors %q", code, out, errs)
	}
	with, without := load(t, file), load(t, "lwb4.yaml")
	if !reflect.DeepEqual(with, without) {
		t.Errorf("%+v is not %+v", with, without)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lwb4.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFlagsOverrideFile(t *testing.T) {
	code, out, errs := invoke("check", "-c", "lwb4.yaml", "--psid", "6", "--lan-prefix", "192.168.0.0/16", "--mtu", "1400",
		"--ipv4-addr", "192.0.2.9")
	if code != exitUsage || out != "" || !strings.Contains(errs, "port: 5180 is not in port set 0/6/6") {
		t.Errorf("exit code %d, output %q, errors %q", code, out, errs)
	}
	code, out, errs = invoke("check", "-c", "lwb4.yaml", "--lan-prefix", "192.168.0.0/16", "--ipv4-addr", "192.0.2.9")
	if code != exitOK || !strings.Contains(out, "192.0.2.9 psid 0/6/5") || !strings.Contains(out, "192.168.0.0/16") {
		t.Errorf("exit code %d, output %q, errors %q", code, out, errs)
	}
}

func TestFlagsAlone(t *testing.T) {
	code, out, errs := invoke("check", "--b4-ipv6-addr", "2001:db8:1::1", "--br-ipv6-addr", "2001:db8:ffff::1",
		"--ipv4-addr", "192.0.2.1", "--psid-offset", "6", "--psid-len", "8", "--psid", "52",
		"--lan", "lan0", "--lan-prefix", "192.168.1.0/24", "--tunnel", "user")
	if code != exitOK || !strings.Contains(out, "psid 6/8/52") || !strings.Contains(out, "252 ports") {
		t.Errorf("exit code %d, output %q, errors %q", code, out, errs)
	}
}

// TestBadConfiguration expects exit code 2 and one line for each error.
func TestBadConfiguration(t *testing.T) {
	good, err := os.ReadFile("lwb4.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// What only counts with another source than static.
	sources := map[string]string{"no lwAFTR": "pcp", "interface to the carrier": "dhcpv6"}
	for _, row := range []struct {
		name, from, to string
		want           []string // of each line; @ is the line that was changed, @+1 the next
	}{
		{"unknown key", "psid: 5 ", "psidd: 5 ", []string{"@: softwire.psidd: unknown"}},
		{"psid too large", "psid: 5 ", "psid: 64", []string{"@: softwire.psid: psid 64"}},
		{"length too large", "psid-len: 6", "psid-len: 17", []string{"@: softwire.psid-len: "}},
		{"no lwB4 address", "b4-ipv6-addr: 2001:db8:1::1 ", "# ", []string{"softwire.b4-ipv6-addr: is missing"}},
		{"wrong family", "2001:db8:ffff::1", "192.0.2.2", []string{"softwire: softwire 192.0.2.1"}},
		{"no such thing", "2001:db8:ffff::1", "aftr", []string{"@: softwire.br-ipv6-addr: \"aftr\" is not an IP address"}},
		{"host bits", "192.168.1.0/24", "192.168.1.1/24", []string{"@: lan.prefix: 192.168.1.1/24 has host bits: use 192.168.1.0/24"}},
		{"two errors", "interface: lan0\n  prefix: 192.168.1.0/24", "interface: a-much-too-long-name\n  prefix: 2001:db8::/64",
			[]string{"forwards[0].to", "lan.interface", "lan.prefix"}},
		{"port of another", "port: 5180", "port: 80", []string{"@: forwards[0].port: 80 is not in port set 0/6/5"}},
		{"unknown protocol", "protocol: tcp", "protocol: sctp", []string{"@: forwards[0].protocol: \"sctp\" is not a protocol"}},
		{"twice", "192.168.1.2:80\"}", "192.168.1.2:80\"}\n  - {protocol: tcp, port: 5180, to: \"192.168.1.3:80\"}",
			[]string{"@+1: forwards[1].port: tcp 5180 is forwarded by item 0 already"}},
		{"source", "# source: static", "source: wish", []string{"source: \"wish\" is not"}},
		{"no lwAFTR", `aftrs: ["2001:db8:ffff::1"]`, "aftrs: []", []string{"@: pcp.aftrs: is missing"}},
		{"pcp", "  # transport: softwire ", "  transport: pigeon\n  lifetime: 1s\n  patience: 0s\n  check: 1ms\n  max-port-sets: 17\n  more-at: 101\n  idle-after: 0s #",
			[]string{"pcp.transport", "pcp.lifetime", "pcp.patience", "pcp.check", "pcp.max-port-sets", "pcp.more-at", "pcp.idle-after"}},
		{"interface to the carrier", "interface: wan0", "interface: a-much-too-long-name", []string{"@: dhcpv6.interface"}},
		{"PCP of the LAN", "  # pcp:  ", "  pcp: {lifetime: 1s, per-host: 0, total: 5000} #",
			[]string{"@: lan.pcp.lifetime", "@: lan.pcp.per-host", "@: lan.pcp.total"}},
		{"recovery", "# recovery:", "recovery: {after: 1h, at-most: 1m} #", []string{"recovery.at-most"}},
		{"tunnel", "# tunnel:", "tunnel: {kind: magic, mtu: 1200, hop-limit: 0, device: \"\"}\n#",
			[]string{"tunnel.kind", "tunnel.device", "tunnel.mtu", "tunnel.hop-limit"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := strings.Replace(string(good), row.from, row.to, 1)
			if source, ok := sources[row.name]; ok {
				text = strings.Replace(text, "# source: static", "source: "+source, 1)
			}
			if text == string(good) {
				t.Fatal("the change changes nothing")
			}
			code, out, errs := invoke("check", "-c", write(t, text))
			if code != exitUsage || out != "" {
				t.Errorf("exit code %d, output %q", code, out)
			}
			lines := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
			if len(lines) != len(row.want) {
				t.Errorf("%d lines, want %d:\n%s", len(lines), len(row.want), errs)
			}
			before, _, _ := strings.Cut(string(good), row.from)
			line := 1 + strings.Count(before, "\n")
			for _, want := range row.want {
				want = strings.ReplaceAll(want, "@+1", fmt.Sprintf(":%d", line+1))
				want = strings.ReplaceAll(want, "@", fmt.Sprintf(":%d", line))
				if !strings.Contains(errs, want) {
					t.Errorf("%q is not in:\n%s", want, errs)
				}
			}
			for _, line := range lines {
				if !strings.HasPrefix(line, "lwb4: ") {
					t.Errorf("line %q does not say whose it is", line)
				}
			}
		})
	}
}

// TestCheckForPrograms: with -o json what is wrong is a list.
func TestCheckForPrograms(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		code int
		want checked
	}{
		{"right", []string{"-c", "lwb4.yaml"}, exitOK, checked{
			Summary: "softwire 192.0.2.1 psid 0/6/5 lwB4 2001:db8:1::1 BR 2001:db8:ffff::1, 1024 ports for 192.168.1.0/24 on lan0",
			Errors:  []config.Problem{},
		}},
		{"wrong with a file", []string{"-c", "lwb4.yaml", "--psid-len", "17"}, exitUsage, checked{Errors: []config.Problem{
			{File: "lwb4.yaml", Line: 13, Element: "softwire.psid-len", Message: "psid-offset 0, psid-len 17: psid-offset plus psid-len must be at most 16"},
		}}},
		{"wrong without", []string{"--br-ipv6-addr", "2001:db8:ffff::1", "--b4-ipv6-addr", "2001:db8:1::1", "--ipv4-addr", "192.0.2.1",
			"--lan", "a-much-too-long-name", "--lan-prefix", "192.168.1.0/24"}, exitUsage, checked{Errors: []config.Problem{
			{Element: "lan.interface", Message: `"a-much-too-long-name" has more than 15 characters`},
		}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, out, _ := invoke(append([]string{"check", "-o", "json"}, row.args...)...)
			var got checked
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if diff := cmp.Diff(row.want, got); diff != "" || code != row.code {
				t.Errorf("exit code %d, want %d; -want +got:\n%s", code, row.code, diff)
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"help", []string{"--help"}, exitOK, "Usage:"},
		{"nothing", nil, exitOK, "Usage:"},
		{"help of run", []string{"run", "--help"}, exitOK, "lwb4 run -c"},
		{"help of check", []string{"check", "--help"}, exitOK, "lwb4 check -c"},
		{"help of status", []string{"status", "--help"}, exitOK, "lwb4 status -s"},
		{"status of nobody", []string{"status", "-s", "/nonexistent/socket"}, exitFailed, "is it running"},
		{"status in colours", []string{"status", "-o", "colours"}, exitUsage, "neither text nor json"},
		{"unknown command", []string{"walk"}, exitUsage, `unknown command "walk"`},
		{"unknown flag", []string{"run", "--fast"}, exitUsage, "unknown flag"},
		{"argument", []string{"run", "now"}, exitUsage, "unknown command"},
		{"no address", []string{"check", "--ipv4-addr", "x"}, exitUsage, "not an address"},
		{"no prefix", []string{"check", "--lan-prefix", "x"}, exitUsage, "not an address/length"},
		{"no file", []string{"run", "-c", "/nonexistent"}, exitUsage, "/nonexistent: no such file"},
		{"nothing configured", []string{"run"}, exitUsage, "softwire.br-ipv6-addr: is missing"},
		{"no LAN", []string{"run", "-c", "lwb4.yaml", "--lan", "nonexistent0"}, exitFailed, "LAN interface nonexistent0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, out, errs := invoke(row.args...)
			if code != row.code || !strings.Contains(out+errs, row.want) {
				t.Errorf("exit code %d, want %d; output %q, errors %q, want %q", code, row.code, out, errs, row.want)
			}
		})
	}
}

func load(t *testing.T, file string) settings.Config {
	t.Helper()
	c := settings.Default()
	if _, err := config.Load(file, (*unchecked)(&c)); err != nil {
		t.Fatal(err)
	}
	return c
}
