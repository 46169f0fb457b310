package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
)

var (
	// ErrRefused reports a router that does not know the Protocol, or takes no other
	// connection of it.
	ErrRefused = errors.New("the router refuses a stream of requests")
	// ErrClosed reports a Client whose Run has returned.
	ErrClosed = errors.New("the client has ended")
)

const (
	// pause is how long after a connection was tried the next one is, at the least,
	// and refusedPause if it was refused. Calls fail at once meanwhile.
	pause        = 250 * time.Millisecond
	refusedPause = 10 * time.Second
	openTimeout  = 5 * time.Second
)

// Client asks one router. Its methods may be called from several goroutines; they
// wait for Run. An error that is an *api.Error is the router's answer.
type Client struct {
	open   func(context.Context) (io.ReadWriteCloser, error)
	opened chan *link // to be run

	mu     sync.Mutex
	link   *link // nil if there is none
	closed bool
	// Calls fail with why before until.
	why   error
	until time.Time
}

// NewClient returns a Client that open opens connections for, with the first request.
// An *api.Error of open is a refusal.
func NewClient(open func(context.Context) (io.ReadWriteCloser, error)) *Client {
	return &Client{open: open, opened: make(chan *link, 1)}
}

// Run keeps a connection for those who ask, until ctx ends, and then returns nil. It
// is called once.
func (c *Client) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case l := <-c.opened:
			began := time.Now()
			err := l.run(ctx, c.open)
			rest := pause
			if refusal := new(api.Error); errors.As(err, &refusal) {
				err, rest = fmt.Errorf("%w: %w", ErrRefused, err), refusedPause
			}
			c.drop(err, began.Add(rest))
		}
	}
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.drop(ErrClosed, time.Time{})
	return nil
}

// drop ends the link, if there is one, and until then has calls fail.
func (c *Client) drop(why error, until time.Time) {
	c.mu.Lock()
	l := c.link
	c.link, c.why, c.until = nil, why, until
	c.mu.Unlock()
	if l != nil {
		l.end(why)
	}
}

// Offer asks what Acquire would grant. The error is that of ctx, an *api.Error, or
// wraps ErrRefused, ErrClosed, lease.ErrInvalid, or what became of the connection.
// What q.Within says is not asked.
func (c *Client) Offer(ctx context.Context, q lease.Request) (lease.Lease, error) {
	return c.ask(ctx, offer, q)
}

// Acquire asks for a lease, and returns what a subscriber is told of it. Errors are
// those of Offer.
func (c *Client) Acquire(ctx context.Context, q lease.Request) (lease.Lease, error) {
	return c.ask(ctx, acquire, q)
}

// Release gives a lease back. Errors are those of Offer.
func (c *Client) Release(ctx context.Context, q lease.Request) error {
	_, err := c.ask(ctx, release, q)
	return err
}

func (c *Client) ask(ctx context.Context, k kind, q lease.Request) (lease.Lease, error) {
	if err := validate(q); err != nil {
		return lease.Lease{}, err
	}
	l, err := c.connected()
	if err != nil {
		return lease.Lease{}, err
	}
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, maxWait)
		defer cancel()
		ctx = limited
	}
	return l.ask(ctx, k, q)
}

// connected is the link that there is, or the next one.
func (c *Client) connected() (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		if c.closed || time.Now().Before(c.until) {
			return nil, c.why
		}
		c.link = newLink()
		// The one before it was taken out before it was run.
		c.opened <- c.link
	}
	return c.link, nil
}
