package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
)

// opened is the files of a bundle, without its folder, as tar unpacks them.
func opened(t *testing.T, file string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", file, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(text)
	}
	return files
}

// TestSupportBundle: it has how the router is and nothing of subscribers, unless
// that is asked for.
func TestSupportBundle(t *testing.T) {
	dir := folder(t)
	config := configure(t, dir, "# Mr. Smith\nlog: {level: info}\n", "192.0.2.1,1,2001:db8:77::1", "192.0.2.1,2,2001:db8:78::1")
	dp := fake.New()
	dp.OnOp = func(op dataplane.Op) dataplane.Result {
		if op.Softwire.PortSet.PSID() == 2 {
			return dataplane.Result{Outcome: dataplane.Unsupported, Err: errors.New("no room for " + op.Softwire.B4.String())}
		}
		return dataplane.Result{}
	}
	start(t, config, dp)
	file := filepath.Join(dir, "bundle.tar.gz")
	lwaftr(t, "support-bundle", "-c", config, "--unit", "no-such-unit", file).want(t, exitOK)
	files := opened(t, file)
	for name, want := range map[string]string{
		"version":       "lwaftr ",
		"config.yaml":   "br-ipv6-addr: 2001:db8:ffff::1",
		"status.json":   `no room for anon6-`,
		"pools.json":    `"192.0.2.0/24"`,
		"counters.json": `"granularity"`,
		"problems.json": `"psid": 2`,
		"metrics":       `lw4o6_softwires{router="lw4o6",state="missing"} 1`,
		"goroutines":    "goroutine profile:",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s lacks %q:\n%s", name, want, files[name])
		}
	}
	for name, text := range files {
		for _, private := range []string{"2001:db8:77", "2001:db8:78", "192.0.2.1", "Smith"} {
			if strings.Contains(text, private) {
				t.Errorf("%s has %q:\n%s", name, private, text)
			}
		}
	}
	if r := lwaftr(t, "support-bundle", "-c", config, file); r.code != exitFailure {
		t.Errorf("it replaced a file: %+v", r)
	}
	whole := filepath.Join(dir, "whole.tar.gz")
	lwaftr(t, "support-bundle", "-c", config, "--with-subscribers", whole).want(t, exitOK)
	if files := opened(t, whole); !strings.Contains(files["problems.json"], "2001:db8:78::1") {
		t.Errorf("problems: %s", files["problems.json"])
	}
}

// TestSupportBundleWithoutARouter: what can be had without one is there.
func TestSupportBundleWithoutARouter(t *testing.T) {
	dir := folder(t)
	config := configure(t, dir, "")
	file := filepath.Join(dir, "bundle.tar.gz")
	r := lwaftr(t, "support-bundle", "-c", config, file).want(t, exitOK)
	if !strings.Contains(r.errors, "lwaftr: status.json is missing") {
		t.Errorf("stderr %q", r.errors)
	}
	files := opened(t, file)
	if !strings.Contains(files["missing"], "no router listens there") || !strings.Contains(files["config.yaml"], "psid-len: 6") {
		t.Errorf("got %q", files)
	}
}

// TestLogLevel: the running router logs more at once, and says what it does not
// know.
func TestLogLevel(t *testing.T) {
	config := configure(t, folder(t), "log: {level: error}\n", "192.0.2.1,1,2001:db8::1")
	r := start(t, config, fake.New())
	lwaftr(t, "log-level", "info", "-c", config).want(t, exitOK)
	lwaftr(t, "resync", "-c", config).want(t, exitOK)
	r.until(t, "logging", func() bool { return strings.Contains(r.log.String(), "read back") })
	bad := lwaftr(t, "log-level", "loud", "-c", config).want(t, exitUsage)
	if !strings.Contains(bad.errors, `"loud" is neither error, warning, info, debug nor trace`) {
		t.Errorf("stderr %q", bad.errors)
	}
}
