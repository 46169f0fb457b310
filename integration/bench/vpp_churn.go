package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// churn changes softwires while packets go to them, and to and from others of
// the same IPv4 addresses, and counts what gets lost.
type churn struct {
	lab   *vppLab
	name  string // at most 8 letters: VPP shows 16 of a stream
	place int    // of what changes among the softwires of its address
	kinds []changeKind
	pace  int // changes per second

	router   *router
	changers []*changer
	keys     []softwire.Key // all that they ever have
	others   []softwire.Softwire

	ran                bool
	err                error // of run
	perSecond          float64
	untouched, changed tally
}

func (c *churn) specs() []spec {
	const peer = "packets sent"
	return []spec{
		{name: "vpp-" + c.name, unit: "softwires/s", ours: c.changes, peer: "asked for", theirs: constant(float64(c.pace)), once: true},
		{name: "vpp-" + c.name + "-lost-untouched", unit: "packets", ours: c.lost(&c.untouched), peer: peer, theirs: c.sent(&c.untouched), once: true},
		{name: "vpp-" + c.name + "-lost-changed", unit: "packets", ours: c.lost(&c.changed), peer: peer, theirs: c.sent(&c.changed), once: true},
	}
}

// tally is packets.
type tally struct{ sent, lost float64 }

// counted is a stream that is counted with others.
type counted struct {
	*stream
	tally *tally
}

func (c *churn) changes(ctx context.Context) (float64, error) {
	err := c.run(ctx)
	return c.perSecond, err
}

// lost and sent are figures of one of the tallies.
func (c *churn) lost(t *tally) measure {
	return func(ctx context.Context) (float64, error) {
		err := c.run(ctx)
		return t.lost, err
	}
}

func (c *churn) sent(t *tally) measure {
	return func(context.Context) (float64, error) { return t.sent, nil }
}

// run does it, once.
func (c *churn) run(ctx context.Context) error {
	if !c.ran {
		c.ran, c.err = true, c.once(ctx)
	}
	return c.err
}

func (c *churn) once(ctx context.Context) (err error) {
	if c.router, err = c.lab.with(ctx, len(c.lab.all)); err != nil {
		return err
	}
	if c.changers, c.others, err = pick(c.lab.all, c.place, c.kinds); err != nil {
		return err
	}
	var first softwire.Change
	for _, one := range c.changers {
		first.Put = append(first.Put, one.softwire)
		c.keys = append(c.keys, one.softwire.Key(), one.halves[0].Key(), one.halves[1].Key())
	}
	if err := errors.Join(c.router.change(first), c.router.followed(ctx, c.keys)); err != nil {
		return err
	}
	if err := c.count(ctx); err != nil {
		return err
	}
	// And VPP has what it should have.
	now := time.Now()
	c.router.reconciler.Resync()
	return c.router.verified(ctx, now)
}

// count changes softwires under load and counts packets.
func (c *churn) count(ctx context.Context) error {
	streams, err := c.generate()
	if err != nil {
		return err
	}
	before, err := looks(ctx, streams)
	if err != nil {
		return err
	}
	var changeErr error
	err = c.router.scope.Do(func() {
		for _, s := range streams {
			s.enable(true)
		}
		changeErr = c.change(ctx)
		for _, s := range streams {
			s.enable(false)
		}
	})
	if err = errors.Join(err, changeErr); err != nil {
		return err
	}
	after, err := looks(ctx, streams)
	if err != nil {
		return err
	}
	for i, s := range streams {
		made, went := float64(after[i].made), float64(after[i].went-before[i].went)
		if made == 0 || went > made {
			return fmt.Errorf("stream %s: %.0f packets made and %.0f delivered", s.name, made, went)
		}
		s.tally.sent += made
		s.tally.lost += made - went
	}
	return nil
}

func looks(ctx context.Context, streams []counted) ([]look, error) {
	var all []look
	for _, s := range streams {
		l, err := s.look(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// generate makes the streams.
func (c *churn) generate() (streams []counted, err error) {
	r, pace := c.router, c.lab.load
	random := rand.New(rand.NewPCG(7, 8))
	const most = 1 << 14 // different packets
	others4, others6, err := r.capture(c.name+"-untouched", flows(c.others, most, random), host)
	if err != nil {
		return nil, err
	}
	var changing []softwire.Softwire
	for _, one := range c.changers {
		changing = append(changing, one.softwire)
	}
	changing4, _, err := r.capture(c.name+"-changed", flows(changing, most, random), changedHost)
	if err != nil {
		return nil, err
	}
	err = r.scope.Do(func() {
		streams = []counted{
			{r.addStream(c.name+"-to", ours4, sink6, others4, pace), &c.untouched},
			{r.addStream(c.name+"-from", ours6, sink4, others6, pace), &c.untouched},
			{r.addStream(c.name+"-changed", ours4, sinkChanged, changing4, pace), &c.changed},
		}
	})
	return streams, err
}

// change changes softwires for the configured time, at the pace, and waits until
// VPP has followed.
func (c *churn) change(ctx context.Context) error {
	const pause = 10 * time.Millisecond
	tick := time.NewTicker(pause)
	defer tick.Stop()
	start, made := time.Now(), 0
	for time.Since(start) < c.lab.churnTime {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		var batch softwire.Change
		due := int(time.Since(start).Seconds() * float64(c.pace))
		// Each at most once in a batch.
		for due = min(due, made+len(c.changers)); made < due; made++ {
			c.changers[made%len(c.changers)].next(&batch)
		}
		if err := c.router.change(batch); err != nil {
			return err
		}
	}
	if err := c.router.followed(ctx, c.keys); err != nil {
		return err
	}
	c.perSecond = float64(made) / time.Since(start).Seconds()
	return nil
}
