package cpe

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/carrier"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/dhcp"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/settings"
)

// carrierClient is the DHCPv6 client and what makes offers of its leases.
type carrierClient struct {
	client *dhcp.Client
	source *carrier.Source
	// telling ends when nobody listens to offers any more.
	telling context.Context
	stop    context.CancelFunc
	end     context.CancelFunc // of the client; nil before it began
	group   errgroup.Group
}

// openCarrier opens the client, if DHCPv6 is the source.
func (c *cpe) openCarrier(ctx context.Context) error {
	if c.config.Source != settings.SourceDHCPv6 {
		return nil
	}
	telling, stop := context.WithCancel(context.Background())
	k := &carrierClient{telling: telling, stop: stop}
	var err error
	k.client, err = dhcp.Open(ctx, dhcp.Config{
		Interface: c.config.DHCPv6.Interface, Release: c.config.DHCPv6.Release,
		Report: func(l dhcp.Lease) { k.source.Lease(telling, l) },
	}, c.log)
	if err != nil {
		stop()
		return err
	}
	k.source = carrier.New(carrier.DefaultConfig(func(offers []provision.Offer) {
		c.tell(telling, provision.Offered{Offers: offers})
	}), c.log)
	c.carrier = k
	return nil
}

// startCarrier begins to ask.
func (c *cpe) startCarrier(ctx context.Context) {
	if c.carrier == nil {
		return
	}
	k := c.carrier
	running, end := context.WithCancel(ctx)
	k.end = end
	k.group.Go(func() error {
		if err := k.client.Run(running); err != nil {
			c.fatal <- err
		}
		return nil
	})
	k.group.Go(func() error { return k.source.Run(k.telling) })
}

// closeCarrier waits until the lease is released, if that is wanted.
func (c *cpe) closeCarrier() error {
	k := c.carrier
	if k == nil {
		return nil
	}
	k.stop()
	if k.end != nil {
		k.end()
	}
	return errors.Join(k.group.Wait(), k.client.Close())
}
