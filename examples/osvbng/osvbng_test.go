// Copyright 2026 The lw4o6 Authors
// SPDX-License-Identifier: GPL-3.0-or-later

package osvbng

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/veesix-networks/osvbng/pkg/component"
	"github.com/veesix-networks/osvbng/pkg/configmgr"
	"github.com/veesix-networks/osvbng/pkg/deps"
	"github.com/veesix-networks/osvbng/pkg/handlers/show"
	"github.com/veesix-networks/osvbng/pkg/telemetry"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// onFake is a second registration of the plugin, on a data plane in memory.
const onFake = "lw4o6-fake"

func init() {
	Register(onFake, plugin.WithDataplane(func(plugin.DataplaneConfig, logrus.FieldLogger) (dataplane.Dataplane, error) {
		return fake.New(), nil
	}))
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// router is a configuration of the router with two softwires.
const router = `pools:
  - {name: residential, prefixes: [192.0.2.0/24], psid-len: 6, br-ipv6-addr: 2001:db8:ffff::1}
softwires:
  static:
    - {binding-ipv4-addr: 192.0.2.1, psid: 1, binding-ipv6info: 2001:db8:1::1}
    - {binding-ipv4-addr: 192.0.2.1, psid: 2, binding-ipv6info: 2001:db8:2::1}
control: {socket: ""}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configure has osvbng read a configuration file with a section of the plugin.
func configure(t *testing.T, namespace, section string) {
	t.Helper()
	file := write(t, "osvbng.yaml", fmt.Sprintf("plugins:\n  %s: %s\n", namespace, section))
	if _, err := configmgr.NewConfigManager().LoadStartupConfig(file); err != nil {
		t.Fatal(err)
	}
}

// TestInOsvbng takes the plugin through the life that osvbngd gives it: its
// configuration, the component registry, the orchestrator, show and metrics.
func TestInOsvbng(t *testing.T) {
	for _, tt := range []struct {
		name, namespace string
		dataplane       func(t *testing.T) string // its section of the router's configuration
		reports         string
	}{
		{"in memory", onFake, func(*testing.T) string { return "" }, "fake"},
		{"on VPP", Namespace, func(t *testing.T) string {
			paths := vpptest.PathsIn(vpptest.Start(t, vpptest.Config{}).Dir())
			return fmt.Sprintf("dataplane: {type: vpp, vpp: {api-socket: %s, stats-socket: %s, punt-socket: %s}}\n", paths.API, paths.Stats, paths.Punt)
		}, "vpp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, "lwaftr.yaml", router+tt.dataplane(t))
			configure(t, tt.namespace, fmt.Sprintf("{enabled: true, file: %s}", file))
			host := load(t)
			if len(host.components) != 1 || host.components[tt.namespace] == nil {
				t.Fatalf("osvbng made %v", host.components)
			}

			if err := host.orchestrator.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := host.orchestrator.WaitReady(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			select {
			case <-host.components[tt.namespace].(component.ReadyNotifier).Ready():
			default:
				t.Fatal("not ready, and osvbng did not wait for it")
			}
			host.shows(t, tt.namespace, tt.reports)
			host.measures(t, tt.namespace)

			if err := host.orchestrator.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := host.registry.Snapshot(t.Context(), tt.namespace+".status"); err == nil {
				t.Error("a router that has ended is shown")
			}
		})
	}
}

// host is the parts of osvbngd that a plugin meets.
type host struct {
	components   map[string]component.Component
	orchestrator *component.Orchestrator
	registry     *show.Registry
}

// load makes them, as osvbngd does.
func load(t *testing.T) host {
	t.Helper()
	h := host{make(map[string]component.Component), component.NewOrchestrator(), show.NewRegistry()}
	all, err := component.LoadAll(component.Dependencies{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		h.orchestrator.RegisterPlugin(c)
		h.components[c.Name()] = c
	}
	h.registry.AutoRegisterAll(&deps.ShowDeps{PluginComponents: h.components, Orchestrator: h.orchestrator})
	return h
}

// shows checks the show handlers.
func (h host) shows(t *testing.T, namespace, dataplane string) {
	t.Helper()
	shown, err := h.registry.Snapshot(t.Context(), namespace+".status")
	if err != nil {
		t.Fatal(err)
	}
	s, ok := shown.(*Status)
	if !ok || s.Router != namespace || s.Dataplane != dataplane || !s.Ready || s.Up != 1 || s.Programmed != 2 || s.Desired != 2 || len(s.Problems) > 0 {
		t.Errorf("status %+v", shown)
	}
	if shown, err = h.registry.Snapshot(t.Context(), namespace+".pools"); err != nil {
		t.Fatal(err)
	}
	p, ok := shown.([]Pool)
	if !ok || len(p) != 1 || p[0].Name != "residential" || p[0].Capacity != 256*64 || p[0].Softwires != 2 {
		t.Errorf("pools %+v", shown)
	}
	// The other registration has no router.
	for _, other := range []string{Namespace, onFake} {
		if shown, err := h.registry.Snapshot(t.Context(), other+".status"); other != namespace && (shown != nil || err != nil) {
			t.Errorf("%s shows %+v, %v", other, shown, err)
		}
	}
}

// measures has osvbng poll what is shown and looks for it among its metrics.
func (h host) measures(t *testing.T, namespace string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	telemetry.StartShowPollers(ctx, h.registry, nil)
	want := []string{"lw4o6.softwires.programmed", "lw4o6.pool.softwires"}
	deadline := time.Now().Add(time.Minute)
	for {
		found := 0
		for _, s := range telemetry.AppendSnapshot(nil, telemetry.SnapshotOptions{PathGlob: "lw4o6.*"}) {
			ours := slices.ContainsFunc(s.Labels, func(l telemetry.LabelPair) bool { return l.Value == namespace })
			if ours && slices.Contains(want, s.Name) && s.Value == 2 {
				found++
			}
		}
		if found == len(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("osvbng measures %+v", telemetry.AppendSnapshot(nil, telemetry.SnapshotOptions{}))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestNotEnabled: without a section, or with a section that says so, there is no
// router.
func TestNotEnabled(t *testing.T) {
	configure(t, onFake, "{enabled: false}")
	if h := load(t); len(h.components) != 0 {
		t.Errorf("osvbng made %v", h.components)
	}
}

// TestBadConfiguration: osvbng does not start with one, and is told the line.
func TestBadConfiguration(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", strings.Replace(router, "psid-len", "psid-length", 1), "lwaftr.yaml:2: pools[0].psid-length: unknown"},
		{"contradiction", strings.Replace(router, "psid: 2", "psid: 64", 1), "lwaftr.yaml:6: softwires.static[1].psid: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			configure(t, onFake, fmt.Sprintf("{enabled: true, file: %s}", write(t, "lwaftr.yaml", tt.text)))
			if _, err := component.LoadAll(component.Dependencies{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// failing is a component before the plugin that does not start.
type failing struct{ *component.Base }

func (failing) Start(context.Context) error { return os.ErrDeadlineExceeded }
func (failing) Stop(context.Context) error  { return nil }

// TestStopWithoutStart: when another component does not start, osvbng can stop
// everything all the same.
func TestStopWithoutStart(t *testing.T) {
	configure(t, onFake, fmt.Sprintf("{enabled: true, file: %s}", write(t, "lwaftr.yaml", router)))
	orchestrator := component.NewOrchestrator()
	orchestrator.Register(failing{component.NewBase("failing")})
	for _, c := range load(t).components {
		orchestrator.RegisterPlugin(c)
	}
	if err := orchestrator.Start(t.Context()); err == nil {
		t.Fatal("started")
	}
	if err := orchestrator.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
