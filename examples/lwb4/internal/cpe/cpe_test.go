package cpe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/settings"
	"github.com/lwaftr/lw4o6/integration/netlab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// home is a node with the interfaces that a CPE needs, and the node that is at the
// other end of both.
func home(t *testing.T) (node, rest *netlab.Namespace) {
	t.Helper()
	netlab.Require(t)
	lab := netlab.New()
	t.Cleanup(func() { must(t, lab.Close()) })
	node, err := lab.Namespace("cpe")
	must(t, err)
	rest, err = lab.Namespace("rest")
	must(t, err)
	end := func(ns *netlab.Namespace, iface string, addrs ...string) netlab.End {
		e := netlab.End{Node: ns, Name: iface}
		for _, a := range addrs {
			e.Addrs = append(e.Addrs, netip.MustParsePrefix(a))
		}
		return e
	}
	must(t, lab.Connect(end(node, "lan0", "192.168.1.1/24"), end(rest, "host")))
	must(t, lab.Connect(end(node, "wan0", "2001:db8:0:1::2/64"), end(rest, "access", "2001:db8:0:1::1/64")))
	must(t, node.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr("2001:db8:0:1::1")))
	return node, rest
}

// running runs a CPE and waits until it is up. stop ends it.
func running(t *testing.T, node *netlab.Namespace, c settings.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &log{up: make(chan struct{})}
	logger := logrus.New()
	logger.SetOutput(l)
	done := make(chan error, 1)
	go func() { done <- node.Do(func() error { return Run(ctx, c, logger) }) }()
	select {
	case <-l.up:
	case err := <-done:
		cancel()
		t.Fatalf("ended early: %v", err)
	case <-time.After(20 * time.Second):
		t.Error("not up in time")
	}
	return func() {
		t.Helper()
		cancel()
		must(t, <-done)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func valid() settings.Config {
	c := settings.Default()
	c.Softwire = settings.SoftwireConfig{
		B4: netip.MustParseAddr("2001:db8:1::1"), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		IPv4: netip.MustParseAddr("192.0.2.1"), PSIDLen: 6, PSID: 5,
	}
	c.LAN.Interface, c.LAN.Prefix = "lan0", netip.MustParsePrefix("192.168.1.0/24")
	return c
}

// state is what a CPE may change of its node.
type state struct {
	interfaces []string
	tables     int
	forwarding string
}

func stateOf(t *testing.T, node *netlab.Namespace) (s state) {
	t.Helper()
	var err error
	s.interfaces, err = node.Interfaces()
	must(t, err)
	must(t, node.Do(func() error {
		text, err := os.ReadFile(forwarding)
		if err != nil {
			return err
		}
		s.forwarding = string(bytes.TrimSpace(text))
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := conn.ListTables()
		s.tables = len(tables)
		return err
	}))
	return s
}

func (s state) same(o state) bool {
	return slices.Equal(s.interfaces, o.interfaces) && s.tables == o.tables && s.forwarding == o.forwarding
}

// log collects what is logged and tells when the softwire is up.
type log struct {
	mu   sync.Mutex
	text strings.Builder
	up   chan struct{}
	once sync.Once
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if strings.Contains(l.text.String(), "softwire is up") {
		l.once.Do(func() { close(l.up) })
	}
	return len(b), nil
}

func TestRunLeavesNothingBehind(t *testing.T) {
	node, _ := home(t)
	before := stateOf(t, node)
	for range 5 {
		stop := running(t, node, valid())
		during := stateOf(t, node)
		if during.tables != 1 || during.forwarding != "1" || !slices.Contains(during.interfaces, "softwire") {
			t.Errorf("while running: %+v", during)
		}
		stop()
		if after := stateOf(t, node); !after.same(before) {
			t.Fatalf("left behind: %+v, before: %+v", after, before)
		}
	}
}

// rules are the rules of all chains of the node, and its IPv4 routes.
func rules(t *testing.T, node *netlab.Namespace) (all []string) {
	t.Helper()
	must(t, node.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		chains, err := conn.ListChains()
		if err != nil {
			return err
		}
		for _, chain := range chains {
			of, err := conn.GetRules(chain.Table, chain)
			if err != nil {
				return err
			}
			for _, rule := range of {
				all = append(all, fmt.Sprintf("%s %s handle %d", chain.Table.Name, chain.Name, rule.Handle))
			}
		}
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		for _, route := range routes {
			all = append(all, route.String())
		}
		return err
	}))
	return all
}

// TestSecondIsRefused: a second CPE in the same namespace fails, whatever its
// device is called, and the first one keeps what it has.
func TestSecondIsRefused(t *testing.T) {
	node, _ := home(t)
	stop := running(t, node, valid())
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	before, had := stateOf(t, node), rules(t, node)
	if len(had) < 5 {
		t.Fatalf("the first one has only %q", had)
	}
	for _, device := range []string{valid().Tunnel.Device, "softwire2"} {
		c := valid()
		c.Tunnel.Device = device
		err := node.Do(func() error { return Run(t.Context(), c, logger) })
		if !errors.Is(err, ErrRunning) {
			t.Errorf("device %s: %v", device, err)
		}
		if after := stateOf(t, node); !after.same(before) {
			t.Errorf("device %s: now %+v, before %+v", device, after, before)
		}
		if has := rules(t, node); !slices.Equal(has, had) {
			t.Errorf("device %s: now %q, before %q", device, has, had)
		}
	}
	stop()
}

func TestFailedStartLeavesNothingBehind(t *testing.T) {
	for name, change := range map[string]func(*settings.Config){
		"no LAN interface": func(c *settings.Config) { c.LAN.Interface = "absent0" },
		"invalid":          func(c *settings.Config) { c.Softwire.PSID = 64 },
		"device exists":    func(c *settings.Config) { c.Tunnel.Device = "wan0" },
		"no kernel tunnel": func(c *settings.Config) { c.Tunnel.Kind, c.Tunnel.Device = settings.KindKernel, "lan0" },
		"name is not one":  func(c *settings.Config) { c.Tunnel.Device = "a/b" },
	} {
		t.Run(name, func(t *testing.T) {
			node, _ := home(t)
			before := stateOf(t, node)
			c := valid()
			change(&c)
			logger := logrus.New()
			logger.SetOutput(io.Discard)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := node.Do(func() error { return Run(ctx, c, logger) }); err == nil {
				t.Error("ran without an error")
			}
			if after := stateOf(t, node); !after.same(before) {
				t.Errorf("left behind: %+v, before: %+v", after, before)
			}
		})
	}
}
