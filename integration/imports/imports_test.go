// Package imports holds the packages of this module against the table of who
// may import whom.
package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestModule checks the module as it is.
func TestModule(t *testing.T) {
	packages := goList(t)
	for _, must := range []string{"plugin/portset", "plugin/softwire", "plugin/dataplane", "integration/imports"} {
		if !slices.ContainsFunc(packages, func(p listed) bool { return p.ImportPath == module+"/"+must }) {
			t.Errorf("go list does not know %s: the check would be empty", must)
		}
	}
	for _, violation := range check(rules, packages) {
		t.Error(violation)
	}
}

// TestHostsAreNoDependencies: the module can be hosted by osvbng and by Ligato
// agents, and needs neither.
func TestHostsAreNoDependencies(t *testing.T) {
	modules := goCommand(t, "list", "-m", "all")
	if !strings.Contains(modules, "\ngo.fd.io/govpp ") {
		t.Errorf("go list -m does not know what is needed:\n%s", modules)
	}
	for _, host := range []string{"osvbng", "ligato"} {
		if strings.Contains(modules, host) {
			t.Errorf("the module depends on %s", host)
		}
	}
}

// goList asks the go command for every package of the module.
func goList(t *testing.T) []listed {
	t.Helper()
	out := goCommand(t, "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// goCommand is what the go command prints at the top of the module.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command on the PATH")
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %q: %v\n%s", args, err, &stderr)
	}
	return string(out)
}

// TestCheck shows that each kind of violation is found, and that what is
// allowed is not taken for one.
func TestCheck(t *testing.T) {
	ours := func(paths ...string) []string {
		for i := range paths {
			paths[i] = module + "/" + paths[i]
		}
		return paths
	}
	tests := []struct {
		name string
		pkg  listed
		want string // part of the one violation; empty: none
	}{
		{"allowed", listed{ImportPath: "plugin/softwire", Imports: append(ours("plugin/portset"), "net/netip")}, ""},
		{"upwards", listed{ImportPath: "plugin/portset", Imports: ours("plugin/softwire")}, "plugin/portset imports plugin/softwire"},
		{"sideways", listed{ImportPath: "plugin/reconcile", Imports: ours("plugin/forwarder")}, "plugin/reconcile imports plugin/forwarder"},
		{"another module where only std is allowed", listed{ImportPath: "plugin/portset", Imports: list("golang.org/x/sys/unix")}, "standard library only"},
		{"another module elsewhere", listed{ImportPath: "plugin/reconcile", Imports: list("github.com/sirupsen/logrus")}, ""},
		{"a leaf", listed{ImportPath: "plugin/forwarder", Imports: ours("plugin/config/element")}, ""},
		{"a leaf where only std is allowed", listed{ImportPath: "plugin/portset", Imports: ours("plugin/config/element")}, "plugin/portset imports plugin/config/element"},
		{"unknown package", listed{ImportPath: "plugin/novelty"}, "no rule"},
		{"core on BGP through others", listed{ImportPath: "plugin/announce", Deps: list("github.com/osrg/gobgp/v3/pkg/server")}, "is core and depends on"},
		{"GoBGP in the router's process", listed{ImportPath: "bgp", Deps: list("github.com/osrg/gobgp/v3/api")}, "has a rule against it and depends on"},
		{"core on our PCP", listed{ImportPath: "plugin/lease", Deps: ours("pcp/pcpmsg")}, "is core and depends on"},
		{"the root composes", listed{ImportPath: "plugin", Imports: ours("bgp", "plugin/control"), Deps: list("go.fd.io/govpp/api")}, ""},
		{"the root on an example", listed{ImportPath: "plugin", Imports: ours("examples/lwaftr")}, "plugin imports examples/lwaftr"},
		{"an example on an example", listed{ImportPath: "examples/quickstart", Imports: ours("integration/netlab", "examples/lwb4")}, ""},
		{"a test may use what is beside it", listed{ImportPath: "plugin/forwarder", TestImports: ours("plugin/dataplane/conformance")}, ""},
		{"a test on integration", listed{ImportPath: "plugin/forwarder", TestImports: ours("integration/netlab")}, "has a test that imports"},
		{"an outer test on integration", listed{ImportPath: "plugin/forwarder", XTestImports: ours("integration/netlab")}, "has a test that imports"},
		{"a name that only begins alike", listed{ImportPath: "plugin/lease", Deps: ours("pcpx")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.pkg.ImportPath = module + "/" + tt.pkg.ImportPath
			got := check(rules, []listed{tt.pkg})
			if tt.want == "" {
				if len(got) > 0 {
					t.Errorf("found %q, want nothing", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("found %q, want one with %q", got, tt.want)
			}
		})
	}
}
