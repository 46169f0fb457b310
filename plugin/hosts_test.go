package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/config/bindings"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// What hosts ask of their plugins, as they declare it.
type (
	// component and readyNotifier are those of osvbng v0.16.0, pkg/component.
	component interface {
		Name() string
		Start(ctx context.Context) error
		Stop(ctx context.Context) error
	}
	readyNotifier interface {
		Ready() <-chan struct{}
	}
	// agentPlugin and postInit are those of Ligato cn-infra, infra.
	agentPlugin interface {
		Init() error
		Close() error
		String() string
	}
	postInit interface {
		AfterInit() error
	}
)

var (
	_ component     = (*Plugin)(nil)
	_ readyNotifier = (*Plugin)(nil)
	_ agentPlugin   = (*Plugin)(nil)
	_ postInit      = (*Plugin)(nil)
)

// TestAgent takes two plugins through the life that an agent gives them: Init of
// all, AfterInit of all, Close of all from the last to the first.
func TestAgent(t *testing.T) {
	var agent []agentPlugin
	for i := range 2 {
		agent = append(agent, newPlugin(t, testConfig(testFolder(t)), newTestDataplane(), WithName(fmt.Sprint("lw4o6-", i))))
	}
	for i, p := range agent {
		if p.String() != fmt.Sprint("lw4o6-", i) {
			t.Errorf("String is %q", p)
		}
		if err := p.Init(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range agent {
		if err := p.(postInit).AfterInit(); err != nil {
			t.Error(err)
		}
		wait(t, p.(readyNotifier).Ready(), "ready")
	}
	for i := len(agent) - 1; i >= 0; i-- {
		if err := agent[i].Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAgentInTheWrongOrder(t *testing.T) {
	dp := newTestDataplane()
	failed := errors.New("injected")
	fail := make(chan struct{})
	dp.run = func(ctx context.Context) error {
		select {
		case <-fail:
			return failed
		case <-ctx.Done():
			return nil
		}
	}
	p := newPlugin(t, testConfig(testFolder(t)), dp)
	for name, call := range map[string]func() error{"AfterInit": p.AfterInit, "Close": p.Close} {
		if err := call(); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s before Init: %v", name, err)
		}
	}
	if err := p.Init(); err != nil {
		t.Fatal(err)
	}
	if err := p.Init(); !errors.Is(err, ErrStarted) {
		t.Errorf("Init twice: %v", err)
	}
	close(fail)
	wait(t, p.Done(), "done")
	if err := p.AfterInit(); !errors.Is(err, ErrNotRunning) || !errors.Is(err, failed) {
		t.Errorf("AfterInit after a failure: %v", err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := p.Init(); !errors.Is(err, ErrStarted) {
		t.Errorf("Init after Close: %v", err)
	}
	clean(t, p, dp)
}

// TestTwoPlugins: two routers in one process know nothing of each other, and one
// that would use what is another's is refused and leaves it alone.
func TestTwoPlugins(t *testing.T) {
	dirA, dirB := testFolder(t), testFolder(t)
	a, b := pcpConfig(dirA), pcpConfig(dirB)
	dpA, dpB := newTestDataplane(), newTestDataplane()
	first, stopFirst := runWith(t, a, dpA, WithName("a"))
	second, stopSecond := runWith(t, b, dpB, WithName("b"))

	for _, tt := range []struct {
		name   string
		config func() Config
		want   string
	}{
		{"the same store", func() Config {
			c := pcpConfig(dirB)
			c.Store.Path = a.Store.Path
			return c
		}, store.ErrLocked.Error()},
		{"the same socket", func() Config { return testConfig(dirA) }, "another process listens on it"},
	} {
		dp := newTestDataplane()
		third := newPlugin(t, tt.config(), dp, WithName("third"))
		if err := third.Start(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if dp.opened.Load() != 0 || dp.running.Load() != 0 {
			t.Errorf("%s: something is left of it", tt.name)
		}
	}

	a.Softwires.Static = []bindings.Entry{entry("192.0.2.9", 9, "2001:db8::9")}
	if _, err := first.Reload(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	eventually(t, first, holds(dpA, 1))
	stopFirst()
	if err := second.AfterInit(); err != nil {
		t.Error(err)
	}
	if err := holds(dpB, 2)(); err != nil {
		t.Error(err)
	}
	stopSecond()
	for _, dir := range []string{dirA, dirB} {
		if _, err := os.Stat(dir + "/control.sock"); !os.IsNotExist(err) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestTwoVPPs: each of two routers has a VPP of its own.
func TestTwoVPPs(t *testing.T) {
	var all []*Plugin
	var vpps []*vpptest.VPP
	for i, b4 := range []string{"2001:db8::a", "2001:db8::b"} {
		v := vpptest.Start(t, vpptest.Config{})
		c := vppConfig(v.Dir())
		c.Dataplane.VPP.Instance = fmt.Sprint("router-", i)
		c.Softwires.Static = []bindings.Entry{entry("192.0.2.1", 1, b4)}
		p, err := New(c, WithName(c.Dataplane.VPP.Instance), WithLogger(logger(t)))
		if err != nil {
			t.Fatal(err)
		}
		start(t, p)
		all, vpps = append(all, p), append(vpps, v)
	}
	vpps[0].Kill()
	for i, p := range all {
		if got := p.Stats().Reconcile.Desired; got != 1 {
			t.Errorf("router %d: %d softwires", i, got)
		}
	}
	if got := vpps[1].CLI("show map domain"); !strings.Contains(got, "192.0.2.1") {
		t.Errorf("the second VPP has\n%s", got)
	}
	if s := all[1].Stats().Reconcile; s.Programmed != 1 {
		t.Errorf("after the other VPP died: %+v", s)
	}
}
