package main

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin"
)

// manager is systemd, if it started this process; otherwise nobody is told
// anything.
type manager struct{ log logrus.FieldLogger }

func (m manager) tell(states ...string) {
	for _, state := range states {
		if _, err := daemon.SdNotify(false, state); err != nil {
			m.log.WithError(err).Warn("systemd is not told how the router is")
			return
		}
	}
}

func (m manager) started() {
	m.tell(daemon.SdNotifyReady, "STATUS=waiting for the data plane")
}

func (m manager) programmed(p *plugin.Plugin) {
	m.tell(fmt.Sprintf("STATUS=ready: %d softwires are programmed", p.Stats().Reconcile.Programmed))
}

// reloading is told before a reload, and the function that it returns after it.
func (m manager) reloading() (done func()) {
	m.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	return func() { m.tell(daemon.SdNotifyReady) }
}

func (m manager) stopping() { m.tell(daemon.SdNotifyStopping) }

// keepAlive tells the watchdog that p lives, for as long as it answers, until ctx
// ends.
func (m manager) keepAlive(ctx context.Context, p *plugin.Plugin) {
	patience, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		m.log.WithError(err).Warn("systemd's watchdog is not served")
	}
	if err != nil || patience == 0 {
		return
	}
	tick := time.NewTicker(patience / 3)
	defer tick.Stop()
	for {
		// It takes the locks of all parts.
		p.Stats()
		m.tell(daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
