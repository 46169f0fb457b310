package plugin

import (
	"context"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// newDataplane makes the data plane that c names.
func newDataplane(c DataplaneConfig, log logrus.FieldLogger) (dataplane.Dataplane, error) {
	if c.Type == TypeVPP {
		return newOnVPP(c.VPP, log)
	}
	return newEmbedded(c.Forwarder, log)
}

// tearer is implemented by data planes that go on forwarding when the router has
// stopped.
type tearer interface {
	Teardown(ctx context.Context) error
}

// Teardown takes what a router with c leaves in its data plane out of it, and
// nothing else. It is for a router that does not run. What the forwarder made is
// gone when it stops, so that there is nothing to do.
func (c DataplaneConfig) Teardown(ctx context.Context, log logrus.FieldLogger) error {
	dp, err := newDataplane(c, log)
	if err != nil {
		return err
	}
	if t, ok := dp.(tearer); ok {
		return t.Teardown(ctx)
	}
	return nil
}
