package vppdrv

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.fd.io/govpp/binapi/ip"
	"go.fd.io/govpp/binapi/ip_types"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// becomes waits for a state, with a reason that has words in it, and returns the
// health. On a busy machine VPP may be down for another reason first.
func (b *bench) becomes(t *testing.T, state dataplane.State, words ...string) dataplane.Health {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		h := b.health.Get()
		missing := func(word string) bool { return !strings.Contains(h.Reason, word) }
		if h.State == state && !slices.ContainsFunc(words, missing) {
			return h
		}
		if !sleep(ctx, time.Millisecond) {
			t.Fatalf("not %s because of %q; last %+v", state, words, h)
		}
	}
}

// watchful makes the driver look often.
func watchful(c *Config) {
	c.PingInterval, c.ProbeTimeout = 10*time.Millisecond, time.Second
}

// TestLinkDown: without a link to one side VPP does not forward, and is
// programmed all the same.
func TestLinkDown(t *testing.T) {
	b := newBench(t, func(c *Config) {
		watchful(c)
		c.Interfaces = Interfaces{IPv4: []ports.Config{{Name: "host-vpp0"}}, IPv6: []ports.Config{{Name: "host-vpp1"}}}
	})
	known := b.up(t)
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	for side, port := range b.ports {
		b.vpp.CLI("set interface state %s down", port.Interface)
		h := b.becomes(t, dataplane.StateDown, port.Interface, side.String())
		if h.Incarnation != known.Incarnation {
			t.Errorf("%s down: %+v", port.Interface, h)
		}
		apply(t, b, puts(table(10)))
		b.vpp.CLI("set interface state %s up", port.Interface)
		if known = b.becomes(t, dataplane.StateUp); known.Reason != "" || known.Incarnation != h.Incarnation {
			t.Errorf("%s up: %+v", port.Interface, known)
		}
	}
}

// TestProbe: a VPP that answers and does not forward is found out, on either
// data plane configuration and with workers.
func TestProbe(t *testing.T) {
	for name, test := range map[string]struct {
		on     vpptest.Config
		change func(*Config)
	}{
		"plain":           {change: func(*Config) {}},
		"a worker":        {on: vpptest.Config{Workers: 1}, change: func(*Config) {}},
		"no hairpin":      {change: func(c *Config) { c.Forwarding.Hairpin = false }},
		"nobody answered": {change: func(c *Config) { c.Forwarding.ICMPv4.Unreachable = false }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBenchOn(t, test.on, func(c *Config) { watchful(c); test.change(c) })
			known := b.up(t)
			if err := b.Configure(t.Context(), network()); err != nil {
				t.Fatal(err)
			}
			b.proofs(t, 3)
			block := b.blockade(t)
			block(true)
			h := b.becomes(t, dataplane.StateDown, "probes")
			if h.Incarnation != known.Incarnation {
				t.Errorf("without a way through: %+v", h)
			}
			block(false)
			if h = b.becomes(t, dataplane.StateUp); h.Incarnation != known.Incarnation {
				t.Errorf("with a way through: %+v", h)
			}
			c, err := b.Counters(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if c.Encapsulated.Packets+c.Decapsulated.Packets+c.Hairpinned.Packets > 0 {
				t.Errorf("probes count as traffic: %+v", c)
			}
		})
	}
}

// proofs waits until n more probes came through.
func (b *bench) proofs(t *testing.T, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for before := b.slow.proofs.Load(); b.slow.proofs.Load() < before+n; {
		if !sleep(ctx, time.Millisecond) {
			t.Fatalf("no probe comes back; health %+v", b.health.Get())
		}
	}
}

// blockade returns what makes VPP drop packets to the first BR address, and end
// it.
func (b *bench) blockade(t *testing.T) (block func(bool)) {
	t.Helper()
	conn, err := vppapi.Dial(t.Context(), b.config.API, "blockade")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- conn.Run(context.Background()) }()
	t.Cleanup(func() { conn.Close(); <-done })
	routes := ip.NewServiceClient(conn)
	prefix := ip_types.NewPrefix(net.IPNet{IP: br1.AsSlice(), Mask: net.CIDRMask(128, 128)})
	found, err := routes.IPRouteLookup(t.Context(), &ip.IPRouteLookup{Exact: 1, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return func(on bool) {
		_, err := routes.IPRouteAddDel(t.Context(), &ip.IPRouteAddDel{IsAdd: !on, Route: found.Route})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoAnswer: a VPP that hangs counts as not forwarding, long before it is
// given up, and is as it was when it goes on.
func TestNoAnswer(t *testing.T) {
	b := newBench(t, func(c *Config) { c.PingInterval, c.ProbeTimeout = 10*time.Millisecond, 100*time.Millisecond })
	known := b.up(t)
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	apply(t, b, puts(table(100)))
	b.vpp.Pause()
	h := b.becomes(t, dataplane.StateDown, "answered")
	if h.Incarnation != known.Incarnation {
		t.Errorf("health %+v while VPP hangs", h)
	}
	if chaosRuns(t) > fewRuns {
		sleep(t.Context(), 10*time.Second)
	}
	b.vpp.Resume()
	if h = b.becomes(t, dataplane.StateUp); h.Incarnation != known.Incarnation {
		t.Errorf("health %+v after VPP hung", h)
	}
	if got := read(t, b); !maps.Equal(got, byKey(table(100))) {
		t.Errorf("read back %d softwires", len(got))
	}
}

// TestWorkerHangs: a worker that hangs does not go unnoticed although VPP's main
// thread answers.
func TestWorkerHangs(t *testing.T) {
	b := newBenchOn(t, vpptest.Config{Workers: 1}, func(c *Config) { c.PingInterval = 10 * time.Millisecond })
	known := b.up(t)
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	apply(t, b, puts(table(100)))
	thaw := freeze(t, thread(t, b.vpp.PID(), "vpp_wk_0"))
	if h := b.becomes(t, dataplane.StateDown); h.Reason == "" {
		t.Errorf("health %+v", h)
	}
	thaw()
	b.vpp.Await()
	b.vpp.Restart()
	b.restarted()
	b.newIncarnation(t, known)
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	apply(t, b, puts(table(100)))
	if got := read(t, b); !maps.Equal(got, byKey(table(100))) {
		t.Errorf("read back %d softwires", len(got))
	}
}

// thread is the number of a thread by its name.
func thread(t *testing.T, pid int, name string) int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		comm, err := os.ReadFile(filepath.Join(task, "comm"))
		if err == nil && strings.TrimSpace(string(comm)) == name {
			id, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	t.Fatalf("process %d has no thread %s", pid, name)
	return 0
}

// freeze stops a thread, and no other one of its process, until thaw.
func freeze(t *testing.T, id int) (thaw func()) {
	t.Helper()
	frozen, let, done := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		// The thread that traces lets go when it ends, with this goroutine.
		runtime.LockOSThread()
		err := unix.PtraceSeize(id)
		if err == nil {
			err = unix.PtraceInterrupt(id)
		}
		if err == nil {
			_, err = unix.Wait4(id, nil, unix.WALL, nil)
		}
		frozen <- err
		<-let
	}()
	if err := <-frozen; err != nil {
		close(let)
		t.Fatalf("freezing thread %d: %v", id, err)
	}
	return func() {
		close(let)
		<-done
	}
}
