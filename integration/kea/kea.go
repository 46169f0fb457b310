// Package kea owns a Kea DHCPv6 server as a peer: somebody else's server, to hold
// ours against. It runs one in a namespace, never on the machine itself.
package kea

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// The server and the Debian package that has it.
const (
	Program = "kea-dhcp6"
	Package = "kea-dhcp6-server"
)

// startLimit is how long Kea may take until it serves.
const startLimit = 20 * time.Second

// Start runs Kea in a node with its files in folder, and returns when it
// serves. Config is the content of Dhcp6; where it keeps files and logs need not
// be in it.
func Start(node *netlab.Namespace, folder string, config map[string]any) (*netlab.Process, error) {
	config["data-directory"] = folder
	config["loggers"] = []any{map[string]any{
		"name": "kea-dhcp6", "severity": "INFO",
		"output_options": []any{map[string]any{"output": "stdout"}},
	}}
	text, err := json.Marshal(map[string]any{"Dhcp6": config})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "kea.conf")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	p, err := node.Start("env", "KEA_PIDFILE_DIR="+folder, "KEA_LOCKFILE_DIR="+folder, Program, "-c", path)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for late := time.After(startLimit); !strings.Contains(p.Output(), "DHCP6_STARTED"); {
		select {
		case <-p.Done():
			return nil, fmt.Errorf("kea-dhcp6 ended:\n%s", p.Output())
		case <-late:
			return nil, errors.Join(fmt.Errorf("kea-dhcp6 does not serve:\n%s", p.Output()), p.Stop())
		case <-again.C:
		}
	}
	return p, nil
}
