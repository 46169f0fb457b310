package cpe

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/lanpcp"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
)

// lan is the PCP server for hosts, with what is to be sent again.
type lan struct {
	socket *lanpcp.Socket
	table  *lanpcp.Table
	stop   context.CancelFunc
	group  errgroup.Group
	told   []lanpcp.Update // the last change
	again  []time.Time     // when to send it again
}

// openLAN opens the server, if there is to be one.
func (c *cpe) openLAN() error {
	if !c.config.LAN.PCP.Enabled {
		return nil
	}
	socket, err := lanpcp.Listen(c.config.LAN.Interface, c.config.LAN.Prefix, c.log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	c.lan = &lan{socket: socket, table: lanpcp.NewTable(c.config.LANPCP(), time.Now(), rand.IntN), stop: stop}
	c.lan.group.Go(func() error {
		if err := socket.Run(ctx); err != nil {
			c.fatal <- err
		}
		return nil
	})
	return nil
}

func (c *cpe) closeLAN() {
	if c.lan != nil {
		c.lan.stop()
		_ = c.lan.group.Wait() // never fails
	}
}

// requests are those of hosts; nil, which never has one, without a server.
func (l *lan) requests() <-chan lanpcp.Request {
	if l == nil {
		return nil
	}
	return l.socket.Requests
}

// next is when lanTick has something to do; zero is never.
func (l *lan) next() time.Time {
	if l == nil {
		return time.Time{}
	}
	next := l.table.Next()
	if len(l.again) > 0 && (next.IsZero() || l.again[0].Before(next)) {
		next = l.again[0]
	}
	return next
}

// mappings are those that the NAT is to have.
func (l *lan) mappings() []nat.Mapping {
	if l == nil {
		return nil
	}
	return l.table.Mappings()
}

// serve answers a host. What is granted is there before the answer is.
func (c *cpe) serve(r lanpcp.Request) {
	a := c.lan.table.Answer(time.Now(), r.From, r.Payload)
	if a.Changed {
		if err := c.remap(a.Freed); err != nil {
			c.log.WithError(err).Warn("a mapping of the LAN is not there")
			return // the host asks again
		}
	}
	if a.Payload != nil {
		c.send(lanpcp.Update{To: r.From, Payload: a.Payload})
	}
}

// remap puts the mappings into the kernel, and ends the flows of ports that are not
// mapped any more.
func (c *cpe) remap(freed []lanpcp.Freed) error {
	if err := c.install(); err != nil {
		return err
	}
	for _, f := range freed {
		if _, err := nat.ForgetPort(f.Address, f.Protocol, f.Port); err != nil {
			return err
		}
	}
	return nil
}

func (c *cpe) send(u lanpcp.Update) {
	if err := c.lan.socket.Send(u.To, u.Payload); err != nil {
		c.log.WithError(err).WithField("host", u.To.String()).Debug("a host is not told")
	}
}

// updatePauses are those between the three times that hosts are told of a change (RFC
// 6887 section 14.2).
var updatePauses = []time.Duration{250 * time.Millisecond, 750 * time.Millisecond}

// moveLAN gives the LAN's mappings ports that are in use now.
func (c *cpe) moveLAN() {
	if c.lan == nil {
		return
	}
	now := time.Now()
	updates := c.lan.table.Use(now, c.ports, c.machine.Status().Until)
	if len(updates) == 0 {
		return
	}
	c.log.WithField("mappings", len(updates)-1).Info("hosts are told of other ports")
	c.lan.told, c.lan.again = updates, nil
	for _, pause := range updatePauses {
		c.lan.again = append(c.lan.again, now.Add(pause))
	}
}

// tellLAN sends what moveLAN found, which the kernel has by now.
func (c *cpe) tellLAN() {
	for _, u := range c.lan.told {
		c.send(u)
	}
}

// lanTick ends mappings that have expired, and tells hosts again.
func (c *cpe) lanTick() {
	if c.lan == nil {
		return
	}
	now := time.Now()
	if freed := c.lan.table.Expire(now); len(freed) > 0 {
		if err := c.remap(freed); err != nil {
			c.log.WithError(err).Warn("mappings of the LAN last longer than they should")
		}
	}
	if len(c.lan.again) > 0 && !now.Before(c.lan.again[0]) {
		c.lan.again = c.lan.again[1:]
		c.tellLAN()
	}
}
