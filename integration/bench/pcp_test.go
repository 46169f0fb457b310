package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// TestPCP has the same clients ask the responder that says yes, and the peer: all
// get an answer. The figures themselves say nothing.
func TestPCP(t *testing.T) {
	netlab.Require(t)
	const clients = 20
	t.Run("responder", func(t *testing.T) {
		var r pcpRig
		lab := newRigLab(t, &r)
		measurePCP(t, lab, &r, lwb4sim.Population{Count: clients, Ports: pcpmsg.AllPorts}, r.startEcho)
	})
	t.Run("miniupnpd", func(t *testing.T) {
		netlab.RequireProgram(t, miniupnpd, miniupnpdPackage)
		var r pcpRig
		lab := newRigLab(t, &r)
		measurePCP(t, lab, &r, lwb4sim.Population{Count: clients, Protocol: protoTCP}, func() error {
			return r.startMiniupnpd(t.Context(), lab, t.TempDir())
		})
	})
}

func newRigLab(t *testing.T, r *pcpRig) *netlab.Lab {
	lab := netlab.New()
	t.Cleanup(func() {
		if err := errors.Join(r.close(), lab.Close()); err != nil {
			t.Error(err)
		}
	})
	return lab
}

func measurePCP(t *testing.T, lab *netlab.Lab, r *pcpRig, p lwb4sim.Population, start func() error) {
	t.Helper()
	l := pcpLoad{rig: r, scale: scale{rateTime: 10 * time.Millisecond}}
	if err := l.open(lab, p, start); err != nil {
		t.Fatal(err)
	}
	all := func(f lwb4sim.Figures) float64 { return float64(f.Granted) }
	if n, err := l.bindings(all)(t.Context()); err != nil || n != float64(p.Count) {
		t.Errorf("%v clients of %d were granted something, %v", n, p.Count, err)
	}
	for name, m := range map[string]func(context.Context) (float64, error){"renewals": l.renewals(all), "memory": l.memory} {
		if _, err := m(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
