package vpptest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// ErrNoVPP reports a machine without a VPP that can be started.
var ErrNoVPP = errors.New("no VPP")

// Variables of the environment.
const (
	envBinary  = "VPP_BIN"
	envPlugins = "VPP_PLUGIN_PATH" // all folders of plugins, if VPP does not know them by itself
	envRequire = "LW4O6_REQUIRE_VPP"
	envKeep    = "LW4O6_KEEP_VPP" // keep the directories of VPPs that did well, too
)

// installed is where a VPP built from source lands by default.
const installed = "/opt/vpp/bin/vpp"

// Find returns the path of the VPP binary: VPP_BIN, else vpp of the PATH, else
// /opt/vpp/bin/vpp. The error wraps ErrNoVPP and says what to install or set.
func Find() (string, error) {
	if path := os.Getenv(envBinary); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("%w: %s=%s: %w", ErrNoVPP, envBinary, path, err)
		}
		return path, nil
	}
	if path, err := exec.LookPath("vpp"); err == nil {
		return path, nil
	}
	if path, err := exec.LookPath(installed); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w: neither $%s, nor vpp in the PATH, nor %s; install the vpp package of FD.io or set %s",
		ErrNoVPP, envBinary, installed, envBinary)
}

// Usable is Find on a machine where what it finds can be started, too: VPP
// needs root for its interfaces and namespaces.
func Usable() (path string, err error) {
	if path, err = Find(); err == nil && os.Geteuid() != 0 {
		err = errors.New("VPP needs root")
	}
	return path, err
}

// Require returns the path of the VPP binary, or skips t if none is Usable.
// With LW4O6_REQUIRE_VPP=1 it fails t instead.
func Require(t T) string {
	t.Helper()
	path, err := Usable()
	if err != nil {
		without(t, err)
	}
	return path
}

// RequirePlugin is Require for one of VPP's plugins.
func (v *VPP) RequirePlugin(t T, name string) {
	t.Helper()
	if !v.Has(name) {
		without(t, fmt.Errorf("this VPP has no plugin %s; the package vpp-plugin-core of FD.io has it", name))
	}
}

// without ends a test that lacks something of VPP.
func without(t T, err error) {
	t.Helper()
	if os.Getenv(envRequire) == "1" {
		t.Fatalf("%s=1: %v", envRequire, err)
	}
	t.Skip(err)
}
