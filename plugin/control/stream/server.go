package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/crew"
	"github.com/lwaftr/lw4o6/plugin/lease"
)

const (
	// maxWorking is how many requests of a connection are worked on at the same time.
	// Further ones are not read before one is answered.
	maxWorking = 1024
	// maxWait bounds the work on a request.
	maxWait = time.Minute
	// writeTimeout bounds the writing of what is ready.
	writeTimeout = 10 * time.Second
)

// Leases grants leases; *provision.Provisioner is one.
type Leases interface {
	Offer(q lease.Request) (lease.Lease, error)
	Acquire(ctx context.Context, q lease.Request) (lease.Lease, error)
	Release(ctx context.Context, q lease.Request) error
}

// Server answers requests.
type Server struct {
	Leases Leases
	// Admit says why one more request is not taken now; nil if it is.
	Admit func() error
	// Explain is what the other end is told of an error.
	Explain func(error) *api.Error
}

// Serve answers what comes over conn until ctx ends or the other end goes, and then
// returns nil. The error says what is wrong with the connection. It closes conn.
func (s Server) Serve(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	a := answering{Server: s, out: newOutbox()}
	a.crew = crew.New(maxWorking, func(t task) { a.work(ctx, t) })
	context.AfterFunc(ctx, func() {
		conn.Close()
		a.out.close()
	})
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := a.out.run(timed{conn}); err != nil {
			cancel(err)
		}
	})
	cancel(a.read(newReader(conn)))
	a.crew.End()
	writing.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// timed writes to a connection that takes it within writeTimeout.
type timed struct{ net.Conn }

// Write implements io.Writer.
func (t timed) Write(b []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return t.Conn.Write(b)
}

// answering is the work on one connection.
type answering struct {
	Server
	out *outbox
	// crew does what may take long.
	crew *crew.Crew[task]
}

// task is a request that may take long.
type task struct {
	number uint32
	request
}

// read answers what r brings, or has it answered. It returns nil at the end.
func (a *answering) read(r reader) error {
	for {
		number, k, content, err := r.next()
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		if !a.out.promise(maxWorking) {
			return nil
		}
		q, err := a.accept(k, content)
		switch {
		case err != nil:
			a.answer(number, q.kind, lease.Lease{}, err)
		case q.kind == offer:
			l, err := a.Leases.Offer(q.lease)
			a.answer(number, offer, l, err)
		default:
			a.crew.Give(task{number, q})
		}
	}
}

// accept is a request that is to be answered, or the error that is the answer.
func (a *answering) accept(k kind, content []byte) (request, error) {
	if err := a.Admit(); err != nil {
		return request{}, err
	}
	q, err := parseRequest(k, content)
	if err != nil {
		return request{}, &api.Error{Status: http.StatusBadRequest, Message: err.Error()}
	}
	return q, nil
}

func (a *answering) work(ctx context.Context, t task) {
	wait := t.wait
	if wait == 0 || wait > maxWait {
		wait = maxWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var l lease.Lease
	var err error
	if t.kind == acquire {
		l, err = a.Leases.Acquire(ctx, t.lease)
	} else {
		err = a.Leases.Release(ctx, t.lease)
	}
	a.answer(t.number, t.kind, l, err)
}

// answer puts the answer to a request into the outbox.
func (a *answering) answer(number uint32, to kind, l lease.Lease, err error) {
	switch {
	case err != nil:
		e := a.Explain(err)
		a.out.put(func(b []byte) []byte { return appendFailure(b, number, e) })
	case to == release:
		a.out.put(func(b []byte) []byte { return appendDone(b, number) })
	default:
		a.out.put(func(b []byte) []byte { return appendLease(b, number, l) })
	}
}
