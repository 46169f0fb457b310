package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
)

// coredhcp is our DHCPv6 server, on the scene's node for it.
type coredhcp struct {
	scene          *scene.Scene
	config, plugin string // the files
	process        *netlab.Process
}

// newCoredhcp starts one with pools, and with other keys of dhcpv6, all of them in
// YAML of one line.
func newCoredhcp(ctx context.Context, t *testing.T, s *scene.Scene, keys string, pools ...string) *coredhcp {
	t.Helper()
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	plugin := fmt.Sprintf("store: %s\nrouter: {socket: %s}\ndhcpv6: {%s, pools: [%s]}\n",
		in("delegations.db"), s.Socket(), keys, strings.Join(pools, ", "))
	c := &coredhcp{scene: s, config: in("coredhcp.yaml"), plugin: in("lw4o6.yaml")}
	must(t, os.WriteFile(c.plugin, []byte(plugin), 0o600))
	must(t, c.identify("02:00:00:00:00:01"))
	t.Cleanup(func() {
		if t.Failed() && c.process != nil {
			t.Logf("coredhcp wrote:\n%s", c.process.Output())
		}
	})
	must(t, c.start(ctx))
	return c
}

// identify has it be a server with the DUID of a link-layer address when it starts.
func (c *coredhcp) identify(address string) error {
	const config = "server6:\n  listen: [\"[::]:547\"]\n  plugins:\n    - server_id: LL %s\n    - lw4o6: %s\n"
	return os.WriteFile(c.config, fmt.Appendf(nil, config, address, c.plugin), 0o600)
}

// start starts it, also again, and returns when it serves.
func (c *coredhcp) start(ctx context.Context) error {
	var err error
	if c.process, err = c.scene.DHCP.Start(c.scene.Binaries().Coredhcp, "-c", c.config); err != nil {
		return err
	}
	return wrote(ctx, c.process, "Starting DHCPv6 server")
}

// kill kills it, and starts it again.
func (c *coredhcp) kill(ctx context.Context) error {
	if err := c.process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.process.Done()
	return c.start(ctx)
}

// wrote waits until a process has written something.
func wrote(ctx context.Context, p *netlab.Process, text string) error {
	for !strings.Contains(p.Output(), text) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.Done():
			return fmt.Errorf("ended:\n%s", p.Output())
		case <-ctx.Done():
			return fmt.Errorf("%w:\n%s", ctx.Err(), p.Output())
		}
	}
	return nil
}
