package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"time"

	maps "go.fd.io/govpp/binapi/map"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
)

// watch looks at VPP every PingInterval, and makes known whether it forwards,
// until it is gone.
func (s *session) watch(ctx context.Context) error {
	c := s.driver.config
	w := watcher{session: s, answered: time.Now()}
	for sleep(ctx, c.PingInterval) {
		reason, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		s.driver.report(s, reason)
		s.tidy(ctx)
	}
	return nil
}

// watcher is what watch remembers.
type watcher struct {
	*session
	answered time.Time // when VPP last answered
	proofs   uint64    // that packets come through, seen so far
	missed   int       // how often there was no further one
}

// look returns why VPP does not forward, or nothing. The error is why it is to
// be given up.
func (w *watcher) look(ctx context.Context) (reason string, err error) {
	c := w.driver.config
	states, err := w.ask(ctx, c.ProbeTimeout)
	if err != nil {
		if !errors.Is(err, vppapi.ErrNoAnswer) || time.Since(w.answered) >= c.Unresponsive {
			return "", err
		}
		return fmt.Sprintf("VPP has not answered for %s", time.Since(w.answered).Round(100*time.Millisecond)), nil
	}
	w.answered = time.Now()
	if reason := linkDown(states); reason != "" {
		return reason, nil
	}
	return w.probe(ctx), nil
}

// ask returns how the interfaces are. Its first message VPP answers only when all
// of its workers have stopped for it; one that hangs makes VPP abort.
func (s *session) ask(ctx context.Context, patience time.Duration) ([]ports.State, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.conn.Invoke(ctx, &maps.MapParamGet{}, &maps.MapParamGetReply{}); err != nil {
		return nil, err
	}
	return ports.States(ctx, s.conn, s.ports)
}

// linkDown says which side has interfaces in the configuration and none that is
// up.
func linkDown(states []ports.State) string {
	down := make(map[dataplane.Side]string)
	for _, state := range states {
		if _, seen := down[state.Side]; !seen {
			down[state.Side] = state.Name
		}
	}
	for _, state := range states {
		if state.Admin && state.Link {
			delete(down, state.Side)
		}
	}
	for _, side := range []dataplane.Side{dataplane.SideIPv4, dataplane.SideIPv6} {
		if name, is := down[side]; is {
			return fmt.Sprintf("no interface of the %s side is up (%s)", side, name)
		}
	}
	return ""
}

// probe says whether packets come through VPP, and sends the next one. Other
// packets that VPP hands over are as good: a flood of them may displace ours.
func (w *watcher) probe(ctx context.Context) (reason string) {
	c := w.driver.config
	br := w.probed.Load()
	proofs := w.driver.slow.proofs.Load()
	if w.missed++; proofs != w.proofs || br == nil {
		w.proofs, w.missed = proofs, 0
	}
	if br == nil {
		return ""
	}
	_, ip6 := w.topology.Inject()
	// That VPP takes none shows in what does not come back.
	_ = w.punt.Send(ctx, uint32(ip6), probePacket(w.topology.Nowhere(), *br))
	if lost := time.Duration(w.missed) * c.PingInterval; lost > c.ProbeTimeout {
		return fmt.Sprintf("packets do not come through VPP: probes of %s were lost", lost)
	}
	return ""
}

// report makes known why s does not forward, or that it does.
func (d *Driver) report(s *session, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != s {
		return
	}
	h := dataplane.Health{State: dataplane.StateUp, Incarnation: d.incarnation}
	if reason != "" {
		h.State, h.Reason = dataplane.StateDown, reason
	}
	if !d.health.Set(h) {
		return
	}
	if reason == "" {
		d.log.Info("VPP forwards")
	} else {
		d.log.WithField("reason", reason).Warn("VPP does not forward")
	}
}

// tidy does what waits for its time, unless VPP is being programmed anyway.
func (s *session) tidy(ctx context.Context) {
	select {
	case s.driver.programming <- struct{}{}:
		defer func() { <-s.driver.programming }()
	default:
		return
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	if err := s.retire(ctx); err != nil && ctx.Err() == nil {
		s.driver.log.WithError(err).Warn("a pool that is gone is not out of VPP yet")
	}
}
