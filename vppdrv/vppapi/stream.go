package vppapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/codec"
)

// waiting is how many messages may wait in a stream for its reader before the
// connection waits with them.
const waiting = 1024

// Stream is a sequence of requests and of the messages that answer them, in
// the order of the requests. One goroutine may send while another receives.
type Stream struct {
	conn     *Conn
	ctx      context.Context
	context  uint32 // of its messages
	incoming chan []byte

	once   sync.Once
	closed chan struct{}
	stop   func() bool // ends the wait for the context

	mu      sync.Mutex
	request api.Message // sent last
}

var _ api.Stream = (*Stream)(nil)

// NewStream opens a stream that ends with ctx. The generated clients never
// close theirs when they fail, so give them a context that ends. Options are
// those of govpp's own connection and not supported.
func (c *Conn) NewStream(ctx context.Context, options ...api.StreamOption) (api.Stream, error) {
	if len(options) > 0 {
		return nil, fmt.Errorf("stream options: %w", errors.ErrUnsupported)
	}
	return c.open(ctx), nil
}

func (c *Conn) open(ctx context.Context) *Stream {
	s := &Stream{conn: c, ctx: ctx, incoming: make(chan []byte, waiting), closed: make(chan struct{})}
	c.mu.Lock()
	// Zero marks events. 2^32 calls later the first ones are long over.
	for c.last++; c.last == 0 || c.streams[c.last] != nil; c.last++ {
	}
	s.context = c.last
	c.streams[s.context] = s
	c.mu.Unlock()
	s.stop = context.AfterFunc(ctx, s.forget)
	return s
}

// stream returns the open stream of a context, or nil.
func (c *Conn) stream(context uint32) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[context]
}

// deliver hands a message to whoever receives. It waits while the stream is
// full, and gives up when nobody will read it.
func (s *Stream) deliver(message []byte) {
	select {
	case s.incoming <- message:
	case <-s.closed:
	case <-s.conn.ended:
	}
}

// Context is the context that the stream ends with.
func (s *Stream) Context() context.Context { return s.ctx }

// SendMsg sends a request.
func (s *Stream) SendMsg(m api.Message) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.request = m
	s.mu.Unlock()
	return s.conn.send(m, s.context)
}

// RecvMsg returns the next message that answers a request. The errors are
// those of Invoke.
func (s *Stream) RecvMsg() (api.Message, error) {
	message, err := s.receive()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	request := s.request
	s.mu.Unlock()
	m, err := s.conn.ids.empty(replyNumber(message), request)
	if err != nil {
		return nil, err
	}
	if err := codec.DecodeMsg(message, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return m, nil
}

// receive returns the next message, encoded.
func (s *Stream) receive() ([]byte, error) {
	select {
	case message := <-s.incoming:
		return message, nil
	default:
	}
	timer := time.NewTimer(s.conn.answer)
	defer timer.Stop()
	select {
	case message := <-s.incoming:
		return message, nil
	case <-s.conn.ended:
		return nil, s.conn.error()
	case <-timer.C:
		return nil, fmt.Errorf("%w within %s", ErrNoAnswer, s.conn.answer)
	case <-s.ctx.Done():
	case <-s.closed: // by its context, too
	}
	switch err := s.ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	case err != nil:
		return nil, err
	}
	return nil, errors.New("the stream is closed")
}

// Close ends the stream. What still answers its requests is dropped.
func (s *Stream) Close() error {
	s.close()
	return nil
}

func (s *Stream) close() {
	s.stop()
	s.forget()
}

func (s *Stream) forget() {
	s.once.Do(func() {
		s.conn.mu.Lock()
		delete(s.conn.streams, s.context)
		s.conn.mu.Unlock()
		close(s.closed)
	})
}
