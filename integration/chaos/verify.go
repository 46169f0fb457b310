package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// recovered checks that a child which has just begun serves every claim that is
// still live.
func (x *run) recovered(ctx context.Context, l *life) error {
	claims := x.record.liveClaims()
	for by, c := range claims {
		var shown Shown
		if err := l.call(ctx, "Show", toWire(c.key), &shown); err != nil {
			return ignoreEnd(ctx, err)
		}
		if !shown.Bound || shown.Subscriber != by {
			x.record.missing(by, c, fmt.Sprintf("the router has it for %s, bound: %t", shown.Subscriber, shown.Bound))
		}
	}
	if err := l.until(ctx, func(s State) bool { return s.Ready }); err != nil {
		return ignoreEnd(ctx, err)
	}
	for by, c := range claims {
		for deadline := time.Now().Add(patience); !x.record.served(by, c); time.Sleep(5 * time.Millisecond) {
			if ctx.Err() != nil {
				return nil
			}
			if time.Now().After(deadline) {
				x.record.missing(by, c, "it is not programmed")
				break
			}
		}
	}
	return nil
}

// ignoreEnd is nil for an error that comes of the end of a life.
func ignoreEnd(ctx context.Context, err error) error {
	if errors.Is(err, errGone) || ctx.Err() != nil {
		return nil
	}
	return err
}

// lastLife is one in which nothing goes wrong. It brings the history up to date,
// which then has to name whoever was promised something.
func (x *run) lastLife(ctx context.Context) error {
	x.disk.Inject(disk.Faults{})
	l, err := start(x.binary, x.s, x.disk, x.plane)
	if err != nil {
		return err
	}
	err = x.settle(ctx, l)
	if endErr := l.end(); endErr != nil {
		return errors.Join(err, endErr)
	}
	if heard := x.heard(l, disk.Faults{}); heard != nil || len(x.record.failed()) > 0 {
		return heard
	}
	if err != nil {
		return err
	}
	x.result.Lives++
	return x.checkHistory(ctx)
}

// settle waits until a child has recovered and given its events to the history.
func (x *run) settle(ctx context.Context, l *life) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := x.recovered(ctx, l); err != nil {
		return err
	}
	return l.until(ctx, func(s State) bool { return s.Outbox == 0 })
}

// checkHistory asks the history about every claim that ever was: at its
// beginning, in its middle and at its end.
func (x *run) checkHistory(ctx context.Context) error {
	view, err := history.OpenView(filepath.Join(x.s.Folder, historyName))
	if err != nil {
		return err
	}
	defer view.Close()
	for _, c := range x.record.allClaims() {
		x.result.Claims++
		port := firstPort(c.key.PortSet)
		// The history has milliseconds, and ends are the first moment behind.
		last := c.until.Add(-2 * time.Millisecond)
		for _, at := range []time.Time{c.from, c.from.Add(last.Sub(c.from) / 2), last} {
			if last.Before(c.from) {
				continue
			}
			hold, ok, err := view.Who(ctx, c.key.IPv4, port, at)
			switch {
			case err != nil:
				x.record.broke("I5", "%s at %s: %v", c.key, clock(at), err)
			case !ok:
				x.record.broke("I5", "%s at %s: the history names nobody, it was %s from %s to %s", c.key, clock(at), c.by, clock(c.from), clock(c.until))
			case hold.Subscriber != c.by:
				x.record.broke("I5", "%s at %s: the history names %s, it was %s from %s to %s", c.key, clock(at), hold.Subscriber, c.by, clock(c.from), clock(c.until))
			}
		}
	}
	return nil
}

// firstPort is the lowest port of a set.
func firstPort(s portset.PortSet) uint16 {
	for r := range s.Ranges() {
		return r.First
	}
	return 0
}
