package source_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/source"
	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// before returns the socket of an older router than the one at path, which has no
// stream of requests.
func before(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw4o6")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	old := filepath.Join(dir, "old.sock")
	l, err := net.Listen("unix", old)
	if err != nil {
		t.Fatal(err)
	}
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "router"})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	to.Transport = transport
	mux := http.NewServeMux()
	mux.Handle("/", to)
	mux.HandleFunc(api.PathLeaseStream, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintln(w, `{"message":"there is no such path"}`)
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
		<-done
	})
	return old
}

// TestRouterComesAndGoes: who asks while the router ends is told that it is not
// decided, or what he got; without a router that is said; and when it is back everybody
// has what he had.
func TestRouterComesAndGoes(t *testing.T) {
	r := newRouter(t)
	s := source.Leases(remote(t, r.socket))
	ask := func(i byte) (server.Grant, error) {
		w := want("2001:db8:1::/56")
		a := w.Prefix.Addr().As16()
		a[5] = i
		w.Prefix = netip.PrefixFrom(netip.AddrFrom16(a), 56)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return s.Acquire(ctx, w)
	}
	var asking sync.WaitGroup
	var granted [40]server.Grant
	for i := range granted {
		asking.Go(func() {
			var err error
			if granted[i], err = ask(byte(i)); errors.Is(err, server.ErrNone) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	asking.Wait()
	until(t, func() bool {
		_, err := ask(0)
		if err == nil || errors.Is(err, server.ErrNone) {
			t.Fatalf("without a router: %v", err)
		}
		return errors.Is(err, api.ErrNoRouter)
	})

	r = newRouter(t, func(c *plugin.Config) {
		c.Store.Path, c.Control.Socket = filepath.Join(filepath.Dir(r.socket), "leases.db"), r.socket
	})
	until(t, func() bool {
		_, err := ask(0)
		return err == nil
	})
	for i, had := range granted {
		g, err := ask(byte(i))
		if err != nil || had.Softwire.IPv4.IsValid() && g.Softwire != had.Softwire {
			t.Errorf("%d had %s, and has %s, %v", i, had.Softwire, g.Softwire, err)
		}
	}
}

// until waits for something.
func until(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("in vain")
		}
	}
}
