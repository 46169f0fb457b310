package portsets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// holding is one port set, or the wish for one.
type holding struct {
	within portset.Range // what was asked for
	// set is what was granted last, nil if there is nothing that is valid.
	set     *portset.PortSet
	address netip.Addr
	until   time.Time
	stopped bool

	conn   net.PacketConn
	cancel context.CancelFunc
	group  *errgroup.Group
}

// want is the request for a port set within a range.
func (k *Keeper) want(within portset.Range, suggested netip.AddrPort) client.Want {
	return client.Want{
		Nonce: k.config.Nonce, InternalPort: within.First, Ports: uint16(int(within.Last) - int(within.First) + 1),
		Lifetime: k.config.Lifetime, Suggested: suggested,
	}
}

// begin asks for a port set within a range.
func (k *Keeper) begin(ctx context.Context, within portset.Range, suggested netip.AddrPort) error {
	h := &holding{within: within}
	if err := k.start(ctx, h, suggested); err != nil {
		return err
	}
	k.holdings = append(k.holdings, h)
	return nil
}

// start has a holding asked for, on a new socket.
func (k *Keeper) start(ctx context.Context, h *holding, suggested netip.AddrPort) error {
	conn, err := k.config.Open()
	if err != nil {
		return fmt.Errorf("socket for PCP: %w", err)
	}
	c, err := client.New(conn, client.Config{Servers: []netip.AddrPort{k.config.Server}, Timing: k.config.Timing})
	if err != nil {
		conn.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	h.conn, h.cancel, h.group, h.stopped = conn, cancel, group, false
	send := func(r report) {
		r.of = h
		select {
		case k.reports <- r:
		case <-ctx.Done():
		}
	}
	want := k.want(h.within, suggested)
	group.Go(func() error {
		err := c.Run(ctx)
		if err != nil {
			send(report{err: err})
		}
		return err
	})
	group.Go(func() error {
		err := c.Hold(ctx, want, func(s client.Status) { send(report{status: s}) })
		if err != nil {
			send(report{err: err})
		}
		return err
	})
	if len(k.holdings) == 0 || h == k.holdings[0] {
		group.Go(func() error { k.check(ctx, c, send); return nil })
	}
	return nil
}

// check asks from time to time whether the lwAFTR is there. Its answer has its
// epoch, by which the client finds out about port sets that the lwAFTR lost.
func (k *Keeper) check(ctx context.Context, c *client.Client, send func(report)) {
	if k.config.Check == 0 {
		return
	}
	tick := time.NewTicker(k.config.Check)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asking, cancel := context.WithTimeout(ctx, k.config.Patience)
		_, err := c.Announce(asking)
		cancel()
		if err != nil && ctx.Err() == nil {
			send(report{silent: true})
		}
	}
}

// end stops a holding, and leaves it to the lwAFTR.
func (h *holding) end() {
	if h.stopped {
		return
	}
	h.stopped = true
	h.cancel()
	_ = h.group.Wait() // what went wrong was reported
	h.conn.Close()
}

func (k *Keeper) stop() {
	for _, h := range k.holdings {
		h.end()
	}
}

// suggestion is what a holding had, to be asked for again.
func (h *holding) suggestion() netip.AddrPort {
	if h.set == nil {
		return netip.AddrPort{}
	}
	for r := range h.set.Ranges() {
		return netip.AddrPortFrom(h.address, r.First)
	}
	return netip.AddrPort{}
}

// deletion is how long to wait for the answer to a deletion. Without one the port
// set ends when its lifetime does.
const deletion = 3 * time.Second

// Release has the lwAFTR forget all of the CPE's port sets. Run must have returned.
func (k *Keeper) Release(ctx context.Context) error { return k.release(ctx, whole()) }

// release deletes what lies within a range.
func (k *Keeper) release(ctx context.Context, within portset.Range) error {
	conn, err := k.config.Open()
	if err != nil {
		return fmt.Errorf("socket for PCP: %w", err)
	}
	defer conn.Close()
	c, err := client.New(conn, client.Config{Servers: []netip.AddrPort{k.config.Server}, Timing: k.config.Timing})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deletion)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return c.Run(running) })
	err = c.Delete(ctx, k.want(within, netip.AddrPort{}))
	stop()
	return errors.Join(err, group.Wait())
}
