package main

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// elsewhere writes an example from the folder vpp into dir, which takes the
// place of the folders of the system.
func elsewhere(t *testing.T, dir, name string, change func(string) string) (path string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("vpp", name))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name)
	changed := strings.NewReplacer("/run/vpp", dir, "/var/log/vpp", dir, "/etc/vpp", dir).Replace(change(string(text)))
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func same(text string) string { return text }

// startVPP starts a VPP in a node with a startup configuration of ours, and
// returns when it takes calls.
func startVPP(t *testing.T, node *netlab.Namespace, startup string) *netlab.Process {
	t.Helper()
	vpp, err := node.Start(vpptest.Require(t), "-c", startup)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := vppapi.Dial(t.Context(), filepath.Join(filepath.Dir(startup), "api.sock"), "examples")
		if err == nil {
			conn.Close()
			return vpp
		}
		select {
		case <-tick.C:
		case <-vpp.Done():
			t.Fatalf("VPP does not take %s: %v\n%s", startup, vpp.Wait(), vpp.Output())
		case <-deadline:
			t.Fatalf("VPP is not ready after %s:\n%s", patience, vpp.Output())
		}
	}
}

// lab is a network that ends with the test.
func lab(t *testing.T) *netlab.Lab {
	t.Helper()
	netlab.Require(t)
	vpptest.Require(t)
	l := netlab.New()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func node(t *testing.T, l *netlab.Lab, name string) *netlab.Namespace {
	t.Helper()
	n, err := l.Namespace(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestVPPLaptop runs the examples for a laptop, as they are but for folders.
func TestVPPLaptop(t *testing.T) {
	l := lab(t)
	dir := folder(t)
	machine, far := node(t, l, "machine"), node(t, l, "far")
	for _, name := range []string{"vpp4", "vpp6"} {
		if err := l.Connect(netlab.End{Node: machine, Name: name}, netlab.End{Node: far, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := far.Address("vpp4", netip.MustParsePrefix("198.51.100.254/24")); err != nil {
		t.Fatal(err)
	}
	elsewhere(t, dir, "interfaces-laptop.vpp", same)
	if err := os.Rename(filepath.Join(dir, "interfaces-laptop.vpp"), filepath.Join(dir, "interfaces.vpp")); err != nil {
		t.Fatal(err)
	}
	vpp := startVPP(t, machine, elsewhere(t, dir, "startup-laptop.conf", same))
	// The defaults, which a router elsewhere has to be told.
	config := elsewhere(t, dir, "lwaftr-laptop.yaml", func(text string) string {
		sockets := "  vpp:\n    api-socket: /run/vpp/api.sock\n    stats-socket: /run/vpp/stats.sock\n    punt-socket: /run/vpp/punt.sock\n"
		return strings.Replace(text, "  vpp:\n", sockets, 1) + "control: {socket: " + dir + "/control.sock}\n"
	})
	r := launch(t, config)
	status := lwaftr(t, "show", "status", "-c", config).want(t, exitOK)
	for _, want := range []string{"vpp, up", "host-vpp4 (ipv4 side), up", "host-vpp6 (ipv6 side), up", "1, of which 1 programmed"} {
		if !strings.Contains(status.out, want) {
			t.Errorf("no %q in\n%s", want, status.out)
		}
	}
	counters := lwaftr(t, "show", "counters", "-c", config).want(t, exitOK)
	if !strings.Contains(counters.out, "host-vpp4 received") {
		t.Errorf("counters:\n%s", counters.out)
	}

	refused := lwaftr(t, "teardown", "-c", config).want(t, exitFailure)
	if !strings.Contains(refused.errors, "stop it first") {
		t.Errorf("teardown of a running router: %q", refused.errors)
	}
	r.cancel()
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for range 2 {
		lwaftr(t, "teardown", "-c", config).want(t, exitOK)
	}
	if err := vpp.Stop(); err != nil {
		t.Error(err)
	}
	gone := lwaftr(t, "teardown", "-c", config).want(t, exitFailure)
	if !strings.Contains(gone.errors, "api.sock") {
		t.Errorf("teardown without VPP: %q", gone.errors)
	}
}

// TestVPPRunTeardown: with the flag a router leaves nothing when it stops.
func TestVPPRunTeardown(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	before := v.CLI("show interface")
	path := configure(t, folder(t), "dataplane: {type: vpp, vpp: {api-socket: "+v.API+", stats-socket: "+v.Stats+", punt-socket: "+v.Punt+"}}\n",
		"192.0.2.1,1,2001:db8::1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log buffer
	done := make(chan int)
	go func() { done <- execute(ctx, []string{"run", "--teardown", "-c", path}, &log, &log) }()
	for !strings.Contains(log.String(), "msg=ready") {
		select {
		case code := <-done:
			t.Fatalf("ended with %d:\n%s", code, log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	if v.CLI("show interface") == before {
		t.Error("nothing was made")
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d:\n%s", code, log.String())
	}
	if after := v.CLI("show interface"); after != before || strings.Contains(v.CLI("show map domain"), "192.0.2.1") {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

// TestVPPHardware: VPP takes the file for DPDK hardware where there is none,
// without cores, huge pages and cards, and lwaftr takes its configuration.
func TestVPPHardware(t *testing.T) {
	lwaftr(t, "check", "-c", filepath.Join("vpp", "lwaftr.yaml")).want(t, exitOK)
	lwaftr(t, "check", "-c", filepath.Join("vpp", "lwaftr-laptop.yaml")).want(t, exitOK)
	l := lab(t)
	// Sections end with a brace in the first column.
	section := func(name string) *regexp.Regexp { return regexp.MustCompile(`(?ms)^` + name + ` \{.*?^\}`) }
	startup := elsewhere(t, folder(t), "startup.conf", func(text string) string {
		for _, name := range []string{"dpdk", "cpu", "api-segment"} {
			if !section(name).MatchString(text) {
				t.Errorf("no section %s", name)
			}
			text = section(name).ReplaceAllString(text, "")
		}
		return strings.NewReplacer(
			"default-hugepage", "default", "plugin dpdk_plugin.so { enable }", "", "gid vpp", "poll-sleep-usec 100",
			"main-heap-size 2G", "main-heap-size 512M", "buffers-per-numa 65536", "buffers-per-numa 8192",
		).Replace(text)
	})
	if err := startVPP(t, node(t, l, "machine"), startup).Stop(); err != nil {
		t.Error(err)
	}
}
