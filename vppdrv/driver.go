package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/punt"
	"github.com/lwaftr/lw4o6/vppdrv/stats"
)

var _ dataplane.Dataplane = (*Driver)(nil)

// Driver is the data plane on VPP.
type Driver struct {
	config Config
	log    logrus.FieldLogger
	health dataplane.Condition
	slow   *slowPath
	stats  *stats.Reader

	// programming is held by whoever changes VPP: a channel, so that waiting for
	// it ends with a context.
	programming chan struct{}
	// These are for its holder too, and outlive a connection: what was
	// programmed last, and the network that was configured.
	last    *plan.Model
	network dataplane.Network

	mu          sync.Mutex
	session     *session // nil while VPP is not connected
	incarnation uint64   // of the last session
}

// New returns a Driver that Run will connect. The error is that of c.Validate.
func New(c Config, log logrus.FieldLogger) (*Driver, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	slow, err := newSlowPath(c.Forwarding)
	if err != nil {
		return nil, err
	}
	d := &Driver{config: c, log: log.WithField("dataplane", name), slow: slow, stats: stats.New(c.Stats), programming: make(chan struct{}, 1)}
	d.health.Set(dataplane.Health{State: dataplane.StateDown, Reason: "not started"})
	return d, nil
}

const name = "vpp"

// Name is "vpp".
func (d *Driver) Name() string { return name }

// Run connects to VPP, and again whenever it goes, until ctx ends. What is in
// VPP then stays there and forwards.
func (d *Driver) Run(ctx context.Context) error {
	pause, said := d.config.RetryMin, ""
	for ctx.Err() == nil {
		start := time.Now()
		err := d.connect(ctx)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			err = errors.New("the connection ended")
		}
		if time.Since(start) > d.config.RetryMax {
			pause, said = d.config.RetryMin, "" // it was up for a while
		}
		d.down(err)
		// One line for each reason, however often it is tried.
		if log := d.log.WithError(err); err.Error() != said {
			log.Warn("VPP cannot be used; it is tried again until it can")
		} else {
			log.WithField("retry-in", pause).Debug("VPP cannot be used")
		}
		said = err.Error()
		if !sleep(ctx, pause) {
			break
		}
		pause = min(2*pause, d.config.RetryMax)
	}
	d.down(errors.New("stopped"))
	return nil
}

// down makes known that VPP cannot be programmed, and why.
func (d *Driver) down(reason error) {
	d.health.Set(dataplane.Health{State: dataplane.StateDown, Reason: reason.Error()})
}

// sleep reports false if ctx ends first.
func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// current returns the session with the VPP that is connected. The error wraps
// ErrNotConnected.
func (d *Driver) current() (*session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotConnected, d.health.Get().Reason)
	}
	return d.session, nil
}

// program returns the current session for a change of what is in VPP. The
// caller calls done after it.
func (d *Driver) program(ctx context.Context) (s *session, done func(), err error) {
	select {
	case d.programming <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	done = func() { <-d.programming }
	if err = ctx.Err(); err == nil {
		s, err = d.current()
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return s, done, nil
}

// Exceptions is as in dataplane.ExceptionPort.
func (d *Driver) Exceptions(ctx context.Context, into []dataplane.Exception) (int, error) {
	return d.slow.forwarder.Exceptions(ctx, into)
}

// Inject is as in dataplane.ExceptionPort. VPP takes packets of at most
// punt.MaxPacket octets.
func (d *Driver) Inject(ctx context.Context, side dataplane.Side, packet []byte) error {
	version := byte(4)
	if side == dataplane.SideIPv6 {
		version = 6
	}
	if len(packet) == 0 || packet[0]>>4 != version {
		return fmt.Errorf("inject on the %s side: %w", side, punt.ErrNoPacket)
	}
	s, done, err := d.program(ctx)
	if err != nil {
		return err
	}
	defer done()
	ip4, ip6 := s.topology.Inject()
	if side == dataplane.SideIPv6 {
		return s.punt.Send(ctx, uint32(ip6), packet)
	}
	return s.punt.Send(ctx, uint32(ip4), packet)
}

// WaitHealth is as in dataplane.Monitor.
func (d *Driver) WaitHealth(ctx context.Context, known dataplane.Health) (dataplane.Health, error) {
	return d.health.Wait(ctx, known)
}
