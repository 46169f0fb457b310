package cpe

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/status"
)

// reporter is the status socket.
type reporter struct {
	questions chan chan<- status.Status
	stop      context.CancelFunc
	group     errgroup.Group
}

// openStatus opens the status socket, if there is to be one.
func (c *cpe) openStatus() error {
	if c.config.Status.Socket == "" {
		return nil
	}
	r := &reporter{questions: make(chan chan<- status.Status)}
	server, err := status.Listen(c.config.Status.Socket, r.ask)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.group.Go(func() error {
		if err := server.Run(ctx); err != nil {
			c.log.WithError(err).Warn("the status is not told any more")
		}
		return nil
	})
	c.reporter = r
	return nil
}

func (c *cpe) closeStatus() {
	if c.reporter != nil {
		c.reporter.stop()
		_ = c.reporter.group.Wait() // never fails
	}
}

// ask has run's goroutine say how things are.
func (r *reporter) ask(ctx context.Context) (status.Status, error) {
	answer := make(chan status.Status, 1)
	select {
	case r.questions <- answer:
	case <-ctx.Done():
		return status.Status{}, ctx.Err()
	}
	select {
	case s := <-answer:
		return s, nil
	case <-ctx.Done():
		return status.Status{}, ctx.Err()
	}
}

// asked are the questions for the status; nil, which never has one, without a socket.
func (r *reporter) asked() <-chan chan<- status.Status {
	if r == nil {
		return nil
	}
	return r.questions
}

// status is how things are now.
func (c *cpe) status() status.Status {
	m := c.machine.Status()
	s := status.Status{
		Source: string(c.config.Source), State: m.Phase.String(), LwB4: m.Ends.B4, BR: m.Ends.BR, IPv4: c.ports.IPv4, Until: m.Until,
	}
	if m.Err != nil {
		s.Error = m.Err.Error()
	}
	usage, err := nat.Use(c.ports)
	if err != nil {
		c.log.WithError(err).Warn("the use of ports is not known")
	}
	s.Flows = usage.Flows
	closed := c.gauge.Closed()
	for i, set := range c.ports.Sets {
		s.Sets = append(s.Sets, status.PortSet{
			Set: set.String(), Ports: set.Count(), InUse: usage.Ports[i], Closed: slices.Contains(closed, set),
		})
	}
	counts, err := nat.Read()
	if err != nil {
		c.log.WithError(err).Warn("what the NAT did not let through is not known")
	}
	s.NAT = status.Counts(counts)
	if c.session != nil {
		stats := c.session.device.Stats()
		s.In, s.Out = byName(stats.Inbound), byName(stats.Outbound)
	}
	for _, m := range c.lan.mappings() {
		s.Mappings = append(s.Mappings, status.Mapping{Protocol: m.Protocol.String(), Host: m.Host, Port: m.Port, Peer: m.Peer})
	}
	slices.SortFunc(s.Mappings, func(a, b status.Mapping) int {
		return cmp.Or(a.Host.Compare(b.Host), cmp.Compare(a.Protocol, b.Protocol), a.Peer.Compare(b.Peer))
	})
	return s
}

// byName is counters that are not zero.
func byName(counts [encap.Verdicts]uint64) map[string]uint64 {
	named := map[string]uint64{}
	for v, n := range counts {
		if n > 0 {
			named[encap.Verdict(v).String()] = n
		}
	}
	return named
}
