package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what a command line did.
type result struct {
	code        int
	out, errors string
}

// lines are the lines of standard error.
func (r result) lines() []string {
	if r.errors == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(r.errors, "\n"), "\n")
}

func lwaftr(t *testing.T, args ...string) result {
	t.Helper()
	var out, errors bytes.Buffer
	code := execute(t.Context(), args, &out, &errors)
	return result{code, out.String(), errors.String()}
}

// want checks the exit code, and says what else there was if it is wrong.
func (r result) want(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.errors)
	}
	return r
}

// folder is a folder whose name is short enough for a socket.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw4o6")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// configure writes a configuration whose softwires are lines of CSV.
func configure(t *testing.T, dir, more string, softwires ...string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "lwaftr.yaml")
	files := map[string]string{
		path: "pools:\n- {name: p, prefixes: [192.0.2.0/24], psid-offset: 6, psid-len: 6, br-ipv6-addr: 2001:db8:ffff::1}\n" +
			"softwires: {files: [{path: s.csv}]}\n" +
			"control: {socket: " + dir + "/control.sock}\n" + more,
		filepath.Join(dir, "s.csv"): "binding-ipv4-addr,psid,binding-ipv6info\n" + strings.Join(softwires, "\n") + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// router is a running `lwaftr run`.
type router struct {
	socket string
	log    *buffer
	ended  chan struct{}
	code   int // after ended
	cancel context.CancelFunc
}

// with gives a router the data plane dp.
func with(dp dataplane.Dataplane) plugin.Option {
	return plugin.WithDataplane(func(plugin.DataplaneConfig, logrus.FieldLogger) (dataplane.Dataplane, error) { return dp, nil })
}

// patience bounds waits that a broken program would make for ever.
const patience = 30 * time.Second

// start runs `lwaftr run` on the data plane dp and waits until it is ready.
func start(t *testing.T, path string, dp dataplane.Dataplane) *router {
	t.Helper()
	return launch(t, path, with(dp))
}

// launch is start with other options.
func launch(t *testing.T, path string, options ...plugin.Option) *router {
	t.Helper()
	r := begin(t, path, options...)
	c := api.NewClient(r.socket)
	defer c.Close()
	r.until(t, "ready", func() bool {
		s, err := c.Status(t.Context())
		return err == nil && s.Ready
	})
	return r
}

// begin is launch that does not wait.
func begin(t *testing.T, path string, options ...plugin.Option) *router {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &router{
		socket: filepath.Join(filepath.Dir(path), "control.sock"),
		log:    &buffer{}, ended: make(chan struct{}), cancel: cancel,
	}
	go func() {
		defer close(r.ended)
		r.code = execute(ctx, []string{"run", "-c", path}, r.log, r.log, options...)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
		if t.Failed() {
			t.Logf("log of the router:\n%s", r.log)
		}
	})
	return r
}

// until waits for something that only asking can show.
func (r *router) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-r.ended:
			t.Fatalf("the router has ended with %d before it was %s:\n%s", r.code, what, r.log)
		case <-deadline:
			t.Fatalf("not %s after %s:\n%s", what, patience, r.log)
		}
	}
}

// wait waits for the end and returns the exit code.
func (r *router) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		t.Fatalf("still running after %s:\n%s", patience, r.log)
	}
	return r.code
}
