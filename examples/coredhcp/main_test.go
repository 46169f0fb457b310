package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/coredhcp/coredhcp/config"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/lw4o6"
)

// TestExample: the configuration beside this command is one, and uses no plugin
// that it does not have.
func TestExample(t *testing.T) {
	c, err := config.Load("coredhcp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Server4 != nil || c.Server6 == nil || len(c.Server6.Plugins) == 0 {
		t.Fatalf("%+v", c)
	}
	has := []string{}
	for _, p := range compiledIn() {
		has = append(has, p.Name)
	}
	for _, p := range c.Server6.Plugins {
		if !slices.Contains(has, p.Name) {
			t.Errorf("the plugin %q is not among %q", p.Name, has)
		}
	}
	if !c.Server6.Addresses[0].IP.Equal(net.IPv6unspecified) {
		t.Errorf("listens on %v", c.Server6.Addresses)
	}
	if _, err := lw4o6.LoadFile("lw4o6.yaml"); err != nil {
		t.Error(err)
	}
}

// TestUsage: wrong command lines and files are told from what fails later.
func TestUsage(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("server6: {listen: 7}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"unknown flag":          {"-x"},
		"unknown level":         {"-c", "coredhcp.yaml", "-log", "loud"},
		"no such file":          {"-c", filepath.Join(t.TempDir(), "none.yaml")},
		"broken configuration":  {"-c", broken},
		"an argument too many":  {"-c", "coredhcp.yaml", "more"},
		"no such configuration": {"-c", t.TempDir()},
	} {
		var usage *usageError
		if err := run(t.Context(), args); !errors.As(err, &usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
