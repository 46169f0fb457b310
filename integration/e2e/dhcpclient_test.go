package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// dhcpClient is somebody else's DHCPv6 client on a CPE. It asks for a prefix and for
// a softwire.
type dhcpClient interface {
	// start starts it with nothing but its DUID known.
	start()
	// stop has it release what it holds, and end.
	stop()
	// next waits for something to happen to it, and returns what it holds then.
	next(ctx context.Context, e dhcpEvent) holding
}

// dhcpEvent is what happens to a client.
type dhcpEvent int

// The events.
const (
	dhcpBound   dhcpEvent = iota // it holds something
	dhcpRenewed                  // for longer
	dhcpRebound                  // for longer, by a server that was not asked alone
)

// holding is what a client says that it holds.
type holding struct {
	prefix   netip.Prefix
	t1       time.Duration     // 0 if it does not say
	softwire softwire.Softwire // without an address if it has none
}

// newDHCPClient makes a client on a CPE.
type newDHCPClient func(t *testing.T, node *netlab.Namespace) dhcpClient

// withEachDHCPClient runs a test with every client that the machine has.
func withEachDHCPClient(t *testing.T, test func(t *testing.T, client newDHCPClient)) {
	t.Helper()
	t.Run("dhcpcd", func(t *testing.T) {
		netlab.RequireProgram(t, "dhcpcd", "dhcpcd-base")
		netlab.RequireProgram(t, "unshare", "util-linux")
		test(t, newDHCPCD)
	})
	t.Run("odhcp6c", func(t *testing.T) {
		program := requireODHCP6C(t)
		test(t, func(t *testing.T, node *netlab.Namespace) dhcpClient { return newODHCP6C(t, node, program) })
	})
}

// scripted is a client that runs a script when something happens to it, with what it
// knows in variables. The script leaves them in a file for each kind of event.
type scripted struct {
	*testing.T
	node    *netlab.Namespace
	name    string
	folder  string // of script
	script  string
	events  string // the folder of the files
	process *netlab.Process
}

// newScripted is a client of that name, whose script has the kind of an event in a
// word of the shell.
func newScripted(t *testing.T, node *netlab.Namespace, name, kind string) *scripted {
	t.Helper()
	folder := t.TempDir()
	c := &scripted{T: t, node: node, name: name, folder: folder, script: filepath.Join(folder, "script"), events: filepath.Join(folder, "events")}
	text := fmt.Sprintf("#!/bin/sh\nenv > %[1]s/.new && mv %[1]s/.new %[1]s/\"%[2]s\"\n", c.events, kind)
	must(t, os.WriteFile(c.script, []byte(text), 0o700))
	t.Cleanup(func() {
		if t.Failed() && c.process != nil {
			t.Logf("%s on %s wrote:\n%s", name, node, c.process.Output())
		}
	})
	return c
}

// run starts the client's program. Nothing has happened to it before.
func (c *scripted) run(program string, args ...string) {
	c.Helper()
	must(c.T, os.RemoveAll(c.events))
	must(c.T, os.Mkdir(c.events, 0o700))
	var err error
	c.process, err = c.node.Start(program, args...)
	must(c.T, err)
}

// stop has it release what it holds, and end.
func (c *scripted) stop() {
	c.Helper()
	must(c.T, c.process.Signal(syscall.SIGTERM))
	<-c.process.Done()
}

// eventLimit bounds the wait for an event.
const eventLimit = 45 * time.Second

// await waits for the next event of a kind, and returns what the client knew then.
func (c *scripted) await(ctx context.Context, kind string) map[string]string {
	c.Helper()
	ctx, cancel := context.WithTimeout(ctx, eventLimit)
	defer cancel()
	file := filepath.Join(c.events, kind)
	for {
		text, err := os.ReadFile(file)
		if err == nil {
			must(c.T, os.Remove(file))
			variables := make(map[string]string)
			for line := range strings.Lines(string(text)) {
				name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				variables[name] = value
			}
			return variables
		}
		select {
		case <-ctx.Done():
			c.Fatalf("no %s of %s: %v\n%s", kind, c.name, ctx.Err(), c.process.Output())
		case <-c.process.Done():
			c.Fatalf("%s ended before %s:\n%s", c.name, kind, c.process.Output())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
