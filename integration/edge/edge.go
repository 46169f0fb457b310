package edge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// Options vary the edge.
type Options struct {
	// Lwaftr is the path of the router's command.
	Lwaftr string
	// VPP is the path of the VPP that is the data plane; if it is empty the router
	// itself is.
	VPP string
	// Softwires is how many the pool has.
	Softwires int
	// Announce are keys of bgp.announce besides state-file, and Peers of both
	// peers, on one line.
	Announce, Peers string
	// Leases has the pool lend port sets to who is said to have them.
	Leases bool
}

// Edge is the router and its upstream while they run. Its methods are for one
// goroutine.
type Edge struct {
	options  Options
	lab      *netlab.Lab
	folder   string
	node     *netlab.Namespace
	upstream *bird.BIRD
	router   *netlab.Process
	vpp      *netlab.Process // nil without one
	client   *api.Client
}

// Start builds the edge and returns when the upstream has all routes.
func Start(ctx context.Context, o Options) (*Edge, error) {
	e := &Edge{options: o, lab: netlab.New()}
	err := e.start(ctx)
	if err == nil {
		_, err = e.Announced(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close ends everything and removes what it left on disk.
func (e *Edge) Close() error {
	if e.client != nil {
		e.client.Close()
	}
	return errors.Join(e.lab.Close(), os.RemoveAll(e.folder))
}

func (e *Edge) start(ctx context.Context) (err error) {
	// A socket's path has a limit.
	if e.folder, err = os.MkdirTemp("", "lw4o6-edge-"); err != nil {
		return err
	}
	e.client = api.NewClient(e.path("control.sock"))
	node, err1 := e.lab.Namespace("router")
	upstream, err2 := e.lab.Namespace("upstream")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	e.node = node
	err = e.lab.Connect(
		netlab.End{Node: node, Name: "up", Addrs: []netip.Prefix{prefix(router4), prefix(router6)}},
		netlab.End{Node: upstream, Name: "down", Addrs: []netip.Prefix{prefix(upstream4), prefix(upstream6)}},
	)
	if err != nil {
		return err
	}
	e.upstream, err = bird.Start(ctx, upstream, e.folder, prefix(upstream4).Addr(), upstreamFile)
	if err != nil {
		return err
	}
	if err := errors.Join(e.writeSoftwires(), e.writeConfig()); err != nil {
		return err
	}
	if err := e.StartVPP(ctx); err != nil {
		return err
	}
	return e.StartRouter(ctx)
}

// StartVPP starts the VPP that forwards, if that is the data plane, and returns
// when it takes calls.
func (e *Edge) StartVPP(ctx context.Context) (err error) {
	if e.options.VPP == "" {
		return nil
	}
	startup := e.path("startup.conf")
	if err := os.WriteFile(startup, []byte(vpptest.Config{Heap: "1G", Statistic: "256M"}.Startup(e.folder)), 0o600); err != nil {
		return err
	}
	socket := vpptest.PathsIn(e.folder).API
	// One that was killed leaves its socket.
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	if e.vpp, err = e.node.Start(e.options.VPP, "-c", startup); err != nil {
		return err
	}
	return await(ctx, e.vpp, "VPP", func() bool {
		_, err := os.Stat(socket)
		return err == nil
	})
}

// StartRouter starts the router and returns when it answers.
func (e *Edge) StartRouter(ctx context.Context) (err error) {
	if e.router, err = e.node.Start(e.options.Lwaftr, "run", "-c", e.path("lwaftr.yaml")); err != nil {
		return err
	}
	return await(ctx, e.router, "lwaftr", func() bool {
		_, err := e.client.Status(ctx)
		return err == nil
	})
}

// await returns when a process is ready, and fails when it or ctx ends before.
func await(ctx context.Context, p *netlab.Process, name string, ready func() bool) error {
	for !ready() {
		select {
		case <-p.Done():
			return fmt.Errorf("%s ended: %w\n%s", name, p.Wait(), p.Output())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", name, ctx.Err(), p.Output())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// StopVPP has VPP do nothing, and GoOnVPP what it was about to.
func (e *Edge) StopVPP() error { return e.vpp.Signal(syscall.SIGSTOP) }

// GoOnVPP ends StopVPP.
func (e *Edge) GoOnVPP() error { return e.vpp.Signal(syscall.SIGCONT) }

// SetLink switches the device that the router takes IPv4 packets from.
func (e *Edge) SetLink(up bool) error {
	return e.node.SetUp(netio.DefaultConfig().IPv4.Name, up)
}

// KillVPP and KillRouter kill a process and return when that was.
func (e *Edge) KillVPP() (time.Time, error) { return kill(e.vpp) }

// KillRouter is as KillVPP, without a word to its speakers.
func (e *Edge) KillRouter() (time.Time, error) { return kill(e.router) }

func kill(p *netlab.Process) (time.Time, error) {
	now := time.Now()
	err := p.Signal(syscall.SIGKILL)
	<-p.Done()
	return now, err
}

// Announced waits until the upstream has all routes, and returns when that was.
func (e *Edge) Announced(ctx context.Context) (time.Time, error) {
	t, err := e.upstream.Await(ctx, bird.With(Pool, br))
	return t, e.explain(err)
}

// Withdrawn waits until the upstream has none of the routes any more.
func (e *Edge) Withdrawn(ctx context.Context) (time.Time, error) {
	t, err := e.upstream.Await(ctx, bird.Without(Pool, br))
	return t, e.explain(err)
}

// explain adds what the processes wrote to an error.
func (e *Edge) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nlwaftr wrote:\n%s\nBIRD wrote:\n%s", err, e.router.Output(), e.upstream.Output())
}

// Client is the control API of the router, and Upstream the peer.
func (e *Edge) Client() *api.Client { return e.client }

// Upstream is the peer.
func (e *Edge) Upstream() *bird.BIRD { return e.upstream }

func (e *Edge) path(name string) string { return filepath.Join(e.folder, name) }
