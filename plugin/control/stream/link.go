package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
)

const (
	// maxPending bounds the requests of a link that are not answered.
	maxPending = 4096
	// stallTimeout is how long nothing may come from a router that owes an answer to
	// somebody who waits no more.
	stallTimeout = 2 * time.Second
)

var (
	errBusy    = errors.New("too many requests wait for the router")
	errStalled = errors.New("the router does not answer any more")
	errEnd     = errors.New("the router has ended the connection")
)

// link is one connection, from the request on that it is opened for.
type link struct {
	out *outbox
	// ctx is the time of the link; cut ends it.
	ctx context.Context
	cut context.CancelCauseFunc

	mu      sync.Mutex
	last    uint32 // number of a request
	pending map[uint32]chan<- answer
	err     error // why it has ended
	// late is when somebody first gave up since the router has answered.
	late time.Time
}

// answer is a lease, or why there is none.
type answer struct {
	lease lease.Lease
	err   error
}

func newLink() *link {
	l := &link{out: newOutbox(), pending: make(map[uint32]chan<- answer)}
	l.ctx, l.cut = context.WithCancelCause(context.Background())
	return l
}

// run opens the connection, and serves those who ask until it ends, or until ctx
// does. It returns why.
func (l *link) run(ctx context.Context, open func(context.Context) (io.ReadWriteCloser, error)) error {
	stop := context.AfterFunc(ctx, func() { l.cut(ErrClosed) })
	defer stop()
	defer l.cut(nil)
	opening, opened := context.WithTimeout(l.ctx, openTimeout)
	conn, err := open(opening)
	opened()
	if err != nil {
		return err
	}
	defer conn.Close()
	context.AfterFunc(l.ctx, func() {
		conn.Close()
		l.out.close()
	})
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := l.out.run(conn); err != nil {
			l.cut(err)
		}
	})
	l.cut(l.read(newReader(conn)))
	writing.Wait()
	return context.Cause(l.ctx)
}

// read hands out answers until there are no more, and says why.
func (l *link) read(r reader) error {
	for {
		number, k, content, err := r.next()
		if err == io.EOF {
			return errEnd
		}
		if err != nil {
			return fmt.Errorf("reading from the router: %w", err)
		}
		granted, failed, err := parseAnswer(k, content)
		if err != nil {
			return fmt.Errorf("the router's answer: %w", err)
		}
		a := answer{lease: granted}
		if failed != nil {
			a.err = failed
		}
		l.mu.Lock()
		to := l.pending[number]
		delete(l.pending, number)
		l.late = time.Time{}
		l.mu.Unlock()
		if to != nil {
			to <- a
		}
	}
}

// ask makes one request, and waits for its answer until ctx ends, which has a
// deadline.
func (l *link) ask(ctx context.Context, k kind, q lease.Request) (lease.Lease, error) {
	if err := ctx.Err(); err != nil {
		return lease.Lease{}, err
	}
	got := make(chan answer, 1)
	number, err := l.expect(got)
	if err != nil {
		return lease.Lease{}, err
	}
	deadline, _ := ctx.Deadline()
	r := request{kind: k, wait: max(time.Until(deadline), time.Millisecond), lease: q}
	l.out.put(func(b []byte) []byte { return appendRequest(b, number, r) })
	select {
	case a := <-got:
		return a.lease, a.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			l.givenUp()
		}
		return lease.Lease{}, ctx.Err()
	}
}

// expect is the number of a request whose answer goes to got.
func (l *link) expect(got chan<- answer) (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return 0, l.err
	case len(l.pending) >= maxPending:
		return 0, errBusy
	}
	l.last++
	l.pending[l.last] = got
	return l.last, nil
}

// givenUp notes that somebody waits no more. The answer is still expected: it is by
// now that the router should have given it.
func (l *link) givenUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case l.late.IsZero():
		l.late = now
	case now.Sub(l.late) >= stallTimeout:
		l.cut(errStalled)
	}
}

// end has all who wait and all who ask later know why the link has ended.
func (l *link) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = why
	for number, to := range l.pending {
		delete(l.pending, number)
		to <- answer{err: why}
	}
}
