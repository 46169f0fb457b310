package bgp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/bgp"
	"github.com/lwaftr/lw4o6/bgp/feed"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// routerCommand makes the test's program a router that does nothing but announce
// what it is told over a socket.
const routerCommand = "announcing-router"

// call is what a test asks of its router.
type call struct {
	Set       []announce.Announcement
	Preserved bool
}

// answer is what the router says.
type answer struct {
	Err   string
	Stats []bgp.PeerStats
}

// file is the configuration of a router.
type file struct {
	Pools pool.Pools       `yaml:"pools"`
	BGP   plugin.BGPConfig `yaml:"bgp"`
}

// Validate is what config.Load calls.
func (f *file) Validate() error { return f.BGP.Config.Validate(f.Pools) }

// runRouter announces until it is told to stop.
func runRouter(program feed.Program, configured, socket string) error {
	var f file
	if _, err := config.Load(configured, &f); err != nil {
		return err
	}
	log := logrus.New()
	log.SetLevel(logrus.DebugLevel)
	speakers, err := bgp.New(f.BGP.Config, program, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return speakers.Run(ctx) })
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	for {
		conn, err := listener.Accept()
		if err != nil {
			return group.Wait()
		}
		var c call
		var a answer
		err = json.NewDecoder(conn).Decode(&c)
		if c.Preserved {
			speakers.ForwardingPreserved()
		}
		if err = errors.Join(err, speakers.Set(ctx, c.Set)); err != nil {
			a.Err = err.Error()
		}
		a.Stats = speakers.Stats()
		if err := errors.Join(json.NewEncoder(conn).Encode(a), conn.Close()); err != nil {
			return err
		}
	}
}

// router is one that runs.
type router struct {
	process *netlab.Process
	socket  string
}

// startRouter runs a router in a namespace with a configuration.
func startRouter(t *testing.T, in *netlab.Namespace, yaml string) *router {
	t.Helper()
	return startProgram(t, in, "/proc/self/exe", yaml)
}

// startProgram is startRouter from a file that is a copy of this program.
func startProgram(t *testing.T, in *netlab.Namespace, program, yaml string) *router {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "router.yaml")
	must(t, os.WriteFile(path, []byte(yaml), 0o600))
	r := &router{socket: filepath.Join(folder, "s")}
	var err error
	r.process, err = in.Start(program, routerCommand, path, r.socket)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the router wrote:\n%s", r.process.Output())
		}
	})
	eventually(t, "the router's socket", func() error {
		_, err := r.call(call{})
		return err
	})
	return r
}

// pools are those of most routers here.
const pools = `pools:
  - {name: home, prefixes: [192.0.2.0/24], psid-len: 6, br-ipv6-addr: 2001:db8:ffff::1}
  - {name: work, prefixes: [203.0.113.0/24], psid-len: 6, br-ipv6-addr: 2001:db8:ffff::1}
`

func (r *router) call(c call) ([]bgp.PeerStats, error) {
	conn, err := net.DialTimeout("unix", r.socket, patience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var a answer
	err = errors.Join(conn.SetDeadline(time.Now().Add(patience)), json.NewEncoder(conn).Encode(c), json.NewDecoder(conn).Decode(&a))
	if a.Err != "" {
		err = errors.Join(err, errors.New(a.Err))
	}
	return a.Stats, err
}

// announce has the router announce exactly these.
func (r *router) announce(t *testing.T, all ...announce.Announcement) {
	t.Helper()
	if all == nil {
		all = []announce.Announcement{}
	}
	_, err := r.call(call{Set: all})
	must(t, err)
}

// await waits for the state of a peer.
func (r *router) await(t *testing.T, peer string, want func(bgp.PeerStats) error) bgp.PeerStats {
	t.Helper()
	var is bgp.PeerStats
	eventually(t, "peer "+peer, func() error {
		stats, err := r.call(call{})
		if err != nil {
			return err
		}
		for _, s := range stats {
			if s.Name == peer {
				is = s
				return want(s)
			}
		}
		return fmt.Errorf("no such peer")
	})
	return is
}

func established(s bgp.PeerStats) error {
	if !s.Established() {
		return fmt.Errorf("is %s: %s", s.State, s.Error)
	}
	return nil
}

// route is an announcement of a pool.
func route(prefix string, pools ...string) announce.Announcement {
	return announce.Announcement{Prefix: netip.MustParsePrefix(prefix), Pools: pools}
}

// patience bounds what should take some seconds at most.
const patience = time.Minute

// eventually asks until there is no error.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	late := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
