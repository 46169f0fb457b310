package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// ErrNothing reports a success that grants no time.
var ErrNothing = errors.New("the PCP server granted a mapping of no time")

// Hold keeps a mapping until ctx ends, and then returns nil: it asks for it,
// renews it, and asks again when it is lost. It calls report for each change, in
// its own goroutine; while report runs, changes but the last may be passed over.
// The mapping is left to the server: see Delete. The error wraps ErrWant,
// ErrNonceInUse or ErrStopped.
func (c *Client) Hold(ctx context.Context, want Want, report func(Status)) error {
	statuses, forget, err := c.register(ctx, want, func(now time.Time) error { return c.set.Add(now, want, true) })
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	defer forget()
	for {
		s, err := c.next(ctx, statuses)
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		report(s)
	}
}

// ignoreEnd returns nil if ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Request asks for a mapping, or renews one, and returns the first answer. Until
// it comes the request is repeated; ctx ends that. The error is a ResultError
// or *pcpmsg.VersionError, or wraps ErrWant, ErrNonceInUse, ErrStopped or the
// context's error.
func (c *Client) Request(ctx context.Context, want Want) (Grant, error) {
	statuses, forget, err := c.register(ctx, want, func(now time.Time) error { return c.set.Add(now, want, false) })
	if err != nil {
		return Grant{}, unanswered(ctx, err)
	}
	defer forget()
	s, err := c.next(ctx, statuses)
	if err != nil {
		return Grant{}, unanswered(ctx, err)
	}
	if s.Err == nil && !s.Held {
		s.Err = ErrNothing
	}
	return s.Grant, s.Err
}

// Delete deletes a mapping, that of want's nonce, protocol, internal port and
// third party, also one that this client does not know. It waits for the answer,
// until ctx ends. Errors are those of Request.
func (c *Client) Delete(ctx context.Context, want Want) error {
	statuses, forget, err := c.register(ctx, want, func(now time.Time) error { return c.set.Delete(now, want) })
	if err != nil {
		return unanswered(ctx, err)
	}
	defer forget()
	for {
		s, err := c.next(ctx, statuses)
		if err != nil {
			return unanswered(ctx, err)
		}
		if s.Closed {
			return s.Err
		}
	}
}

// unanswered says what it means that ctx ended.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer from the PCP server: %w", ctx.Err())
	}
	return err
}

// register begins to listen to the status of want, and has begin begin.
func (c *Client) register(ctx context.Context, want Want, begin func(now time.Time) error) (<-chan Status, func(), error) {
	statuses := make(chan Status, 1)
	err := c.do(ctx, func(now time.Time) error {
		if _, ok := c.statuses[want.Nonce]; ok {
			return fmt.Errorf("%w: %s", ErrNonceInUse, want.Nonce)
		}
		c.statuses[want.Nonce] = statuses
		err := begin(now)
		if err != nil {
			delete(c.statuses, want.Nonce)
		}
		return err
	})
	forget := func() {
		c.finish(ctx, func() {
			c.set.Forget(want.Nonce)
			delete(c.statuses, want.Nonce)
		})
	}
	return statuses, forget, err
}

// finish has Run's goroutine clean up after a call whose context may have ended.
// Run has begun, so it answers soon or has ended.
func (c *Client) finish(ctx context.Context, f func()) {
	_ = c.do(context.WithoutCancel(ctx), func(time.Time) error { f(); return nil })
}

func (c *Client) next(ctx context.Context, statuses <-chan Status) (Status, error) {
	select {
	case s := <-statuses:
		return s, nil
	case <-c.stopped:
		return Status{}, ErrStopped
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
}

// Announcement is what a server says of itself.
type Announcement struct {
	Server netip.AddrPort
	Epoch  uint32 // seconds since it began, or since it lost its mappings
}

// Announce asks whether the server is there (RFC 6887 section 14.1.2). Errors
// are those of Request.
func (c *Client) Announce(ctx context.Context) (Announcement, error) {
	answers := make(chan Announcement, 1)
	ask := func(server int) error {
		return c.do(ctx, func(time.Time) error {
			c.probes[answers] = struct{}{}
			c.set.Announce(server)
			return nil
		})
	}
	if err := ask(0); err != nil {
		return Announcement{}, unanswered(ctx, err)
	}
	defer c.finish(ctx, func() { delete(c.probes, answers) })
	var wait time.Duration
	for tries := 1; ; tries++ {
		wait = c.timing.retransmission(wait, rand.Float64())
		timer := time.NewTimer(wait)
		select {
		case a := <-answers:
			timer.Stop()
			return a, nil
		case <-timer.C:
		case <-c.stopped:
			timer.Stop()
			return Announcement{}, ErrStopped
		case <-ctx.Done():
			timer.Stop()
			return Announcement{}, unanswered(ctx, ctx.Err())
		}
		if tries%c.timing.Tries == 0 && c.servers > 1 {
			wait = 0
		}
		if err := ask(tries / c.timing.Tries % c.servers); err != nil {
			return Announcement{}, unanswered(ctx, err)
		}
	}
}

// announced hands on an ANNOUNCE to all who wait for one.
func (c *Client) announced(server netip.AddrPort, epoch uint32) {
	for answers := range c.probes {
		delete(c.probes, answers)
		answers <- Announcement{Server: server, Epoch: epoch}
	}
}
