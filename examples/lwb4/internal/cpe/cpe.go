// Package cpe owns a whole CPE with one static softwire: it puts translation,
// tunnel and forwarding together, and takes all of it away again.
package cpe

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/tunnel"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// device is either kind of tunnel.
type device interface {
	Run(ctx context.Context) error
	Stats() tunnel.Stats
	Close() error
}

var (
	_ device = (*tunnel.Kernel)(nil)
	_ device = (*tunnel.User)(nil)
)

// Run is the CPE until ctx ends; then it takes away what it made and returns
// nil. It works in the network namespace of the calling thread, and refuses with
// ErrRunning to be the second one there.
func Run(ctx context.Context, c Config, log logrus.FieldLogger) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if _, err := net.InterfaceByName(c.LAN.Interface); err != nil {
		return fmt.Errorf("LAN interface %s: %w", c.LAN.Interface, err)
	}
	s, err := c.softwire()
	if err != nil {
		return err
	}
	var undo undoing
	dev, err := setUp(c, s, log, &undo)
	if err != nil {
		return errors.Join(err, undo.all())
	}
	log.WithFields(logrus.Fields{
		"softwire": s.String(), "ports": s.PortSet.Count(), "device": c.Tunnel.Device,
	}).Info("softwire is up")
	err = dev.Run(ctx)
	report(log, dev.Stats())
	return errors.Join(err, undo.all())
}

// setUp makes everything and notes how to take it away. Nothing is touched that
// may be another CPE's; the rules come before the device that they guard, and
// forwarding comes last.
func setUp(c Config, s softwire.Softwire, log logrus.FieldLogger, undo *undoing) (device, error) {
	release, err := claim()
	if err != nil {
		return nil, err
	}
	undo.add(release)
	if err := nat.Install(c.nat(s)); err != nil {
		return nil, err
	}
	undo.add(nat.Remove)
	dev, err := open(c.Tunnel.Kind, c.Tunnel.config(s), log)
	if err != nil {
		return nil, err
	}
	undo.add(dev.Close)
	return dev, undo.forward()
}

// open makes the device of a kind.
func open(kind Kind, c tunnel.Config, log logrus.FieldLogger) (device, error) {
	if kind != KindUser {
		dev, err := tunnel.OpenKernel(c)
		switch {
		case err == nil:
			return dev, nil
		case kind == KindKernel || !errors.Is(err, tunnel.ErrNoKernelTunnel):
			return nil, err
		}
		log.WithField("reason", err.Error()).Info("the tunnel runs in user space")
	}
	dev, err := tunnel.OpenUser(c, log)
	if err != nil {
		return nil, err
	}
	return dev, nil
}

// report logs what the tunnel did, where it counts.
func report(log logrus.FieldLogger, s tunnel.Stats) {
	fields := logrus.Fields{}
	for v := range encap.Verdicts {
		if n := s.Outbound[v]; n > 0 {
			fields["out-"+v.String()] = n
		}
		if n := s.Inbound[v]; n > 0 {
			fields["in-"+v.String()] = n
		}
	}
	log.WithFields(fields).Info("softwire is down")
}
