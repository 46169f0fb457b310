package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	poolconfig "github.com/lwaftr/lw4o6/plugin/pool"
)

// scrape measures how long Prometheus waits for the metrics of a router with a
// million softwires, all of them in the book of leases too.
func (s scale) scrape(ctx context.Context) ([]spec, func() error, error) {
	few, err := newScraped(ctx, min(s.bindings, 1000))
	if err != nil {
		return nil, nil, err
	}
	full, err := newScraped(ctx, s.bindings)
	if err != nil {
		return nil, few.close, err
	}
	return []spec{
		{name: "scrape-1M", unit: "ms", ours: full.scrape, peer: "a thousand softwires", theirs: few.scrape},
	}, func() error { return errors.Join(few.close(), full.close()) }, nil
}

// scraped is a router that answers scrapes.
type scraped struct {
	softwires int
	dir       string
	plugin    *plugin.Plugin
	client    http.Client
	url       string
}

// newScraped starts a router that has programmed so many softwires.
func newScraped(ctx context.Context, n int) (*scraped, error) {
	all, err := makeBindings(n)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lw4o6-bench-")
	if err != nil {
		return nil, err
	}
	s := &scraped{softwires: n, dir: dir}
	table := filepath.Join(dir, "table.csv")
	if err := writeBindings(table, all, "binding-ipv4-addr,psid,binding-ipv6info\n", "", csvRow, ""); err != nil {
		return nil, errors.Join(err, s.close())
	}
	at, err := unusedPort(ctx)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.url = fmt.Sprintf("http://%s/metrics", at)
	c := plugin.DefaultConfig()
	lent := poolconfig.Pool{Name: "bench", Prefixes: []netip.Prefix{pool}, PSIDLen: psidLen, BR: brAddress, Terms: poolconfig.DefaultTerms()}
	lent.Mechanisms = []poolconfig.Mechanism{poolconfig.Static, poolconfig.PCP}
	c.Pools = poolconfig.Pools{lent}
	c.Softwires.Files = []bindings.File{{Path: table}}
	c.Store.Path = filepath.Join(dir, "leases.db")
	c.Control.Socket = ""
	c.Metrics.Listen = at
	router, err := plugin.New(c, plugin.WithDataplane(func(plugin.DataplaneConfig, logrus.FieldLogger) (dataplane.Dataplane, error) {
		return forwarder.New(forwarder.DefaultConfig(), idleIO{})
	}))
	if err == nil {
		err = router.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.plugin = router
	select {
	case <-router.Ready():
		return s, nil
	case <-router.Done():
		return nil, errors.Join(router.Err(), s.close())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), s.close())
	}
}

// unusedPort is an address of this machine that nobody listens on.
func unusedPort(ctx context.Context) (netip.AddrPort, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	return l.Addr().(*net.TCPAddr).AddrPort(), l.Close()
}

// scrape measures the milliseconds of one.
func (s *scraped) scrape(ctx context.Context) (float64, error) {
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return 0, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	want := fmt.Sprintf("lw4o6_softwires{router=\"lw4o6\",state=\"programmed\"} %g\n", float64(s.softwires))
	if !bytes.Contains(body, []byte(want)) {
		return 0, fmt.Errorf("scraped %d bytes without %q", len(body), want)
	}
	return float64(took) / float64(time.Millisecond), nil
}

func (s *scraped) close() error {
	s.client.CloseIdleConnections()
	var err error
	if s.plugin != nil {
		err = s.plugin.Stop(context.Background())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
