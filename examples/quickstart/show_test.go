package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCommandLine(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"help", []string{"--help"}, exitOK, "Usage:"},
		{"unknown flag", []string{"--fast"}, exitUsage, "unknown flag"},
		{"argument", []string{"now"}, exitUsage, "unknown command"},
		{"data plane", []string{"--dataplane", "magic"}, exitUsage, "--dataplane"},
		{"devices", []string{"--devices", "serial"}, exitUsage, "--devices"},
		{"devices of VPP", []string{"--dataplane", "vpp", "--devices", "packet"}, exitUsage, "is for the forwarder"},
		{"split", []string{"--psid", "9/9"}, exitUsage, "--psid"},
		{"provisioning", []string{"--provision", "wishes"}, exitUsage, "--provision"},
		{"scattered ports by PCP", []string{"--psid", "6/8"}, exitUsage, "use dhcpv6 or static"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(context.Background(), row.args, &out, &errs)
			if code != row.code || !strings.Contains(out.String()+errs.String(), row.want) {
				t.Errorf("exit code %d, want %d; output %q, errors %q, want %q", code, row.code, &out, &errs, row.want)
			}
		})
	}
}

func TestConclude(t *testing.T) {
	good := scene.Result{Name: "one", Evidence: "seen", Took: time.Second}
	bad := scene.Result{Name: "two", Err: errors.New("nothing seen")}
	for _, row := range []struct {
		name    string
		results []scene.Result
		err     error
		want    []string
	}{
		{"all pass", []scene.Result{good}, nil, []string{"pass  one  1.0 s  seen", "1 passed, 0 failed"}},
		{"one fails", []scene.Result{good, bad}, errChecks, []string{"FAIL  two", "nothing seen", "1 passed, 1 failed"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := conclude(row.results, &out); !errors.Is(err, row.err) {
				t.Errorf("concluded with %v, want %v", err, row.err)
			}
			for _, want := range row.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, &out)
				}
			}
		})
	}
}

// TestShow is the demonstration as `make demo` runs it, on both data planes.
func TestShow(t *testing.T) {
	netlab.Require(t)
	t.Run("forwarder", func(t *testing.T) { testShow(t, "drop-outer-source") })
	t.Run("vpp", func(t *testing.T) {
		vpptest.Require(t)
		testShow(t, "drop-softwire-check", "--dataplane", "vpp")
	})
}

// testShow expects all checks to pass, and a counter of forged packets.
func testShow(t *testing.T, counter string, flags ...string) {
	folder := t.TempDir()
	if _, err := scene.Build(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"--bin", folder}, flags...), &out, &errs); code != exitOK || errs.Len() > 0 {
		t.Fatalf("exit code %d, errors %q\n%s", code, &errs, &out)
	}
	for _, want := range []string{
		"192.0.0.2 to 192.0.0.1 (in IPv6 from 2001:db8:1:100::1): MAP, up to 65535 ports", "MAP SUCCESS, 1024 ports from 192.0.2.0:1024 on",
		"REQUEST", "REPLY, prefix 2001:db8:1:200::/56, ", "state            up, by pcp", "state            up, by dhcpv6",
		"Binding table", "192.0.2.0     0/6/1", "IPv6 2001:db8:1:100::1 > 2001:db8:ffff::1 [ IPv4 192.0.2.0 > 203.0.113.1",
		"encapsulated", counter, "pass  traceroute shows the AFTR", " passed, 0 failed",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

func TestMissingVPP(t *testing.T) {
	t.Setenv("VPP_BIN", "/nonexistent/vpp")
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--dataplane", "vpp"}, &out, &errs); code != exitUsage ||
		!strings.Contains(errs.String(), "/nonexistent/vpp") || !strings.Contains(errs.String(), "docs/vpp.md") {
		t.Errorf("exit code %d, errors %q", code, &errs)
	}
}

func TestMissingBinaries(t *testing.T) {
	netlab.Require(t)
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--bin", t.TempDir()}, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "lwaftr") {
		t.Errorf("exit code %d, errors %q", code, &errs)
	}
}
