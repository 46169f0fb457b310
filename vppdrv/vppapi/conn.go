package vppapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/codec"
)

// Timeout bounds each wait for VPP of a call whose context has no deadline of
// its own, and each write to the socket: a VPP that takes nothing for so long
// hangs.
const Timeout = 10 * time.Second

// createNumber is the number of sockclnt_create in every VPP; all others are
// learnt from the answer to it.
const createNumber = 15

// Conn is a connection to VPP. Its methods may be called from several
// goroutines. Calls are answered while Run runs.
type Conn struct {
	socket *net.UnixConn
	reader *bufio.Reader
	client uint32        // our number at VPP
	answer time.Duration // how long to wait for an answer
	write  time.Duration // and for VPP to take a request
	ids    *numbers

	writing sync.Mutex // held for each frame

	mu      sync.Mutex
	streams map[uint32]*Stream
	last    uint32 // context that was given out last
	cause   error  // why it ended; nil while it has not
	ended   chan struct{}
}

var _ api.Connection = (*Conn)(nil)

// Dial connects to the API socket at path and introduces the caller by name,
// which `show api clients` of VPP shows. The caller then runs Run.
func Dial(ctx context.Context, path, name string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, explain(path, err)
	}
	c := &Conn{
		socket: socket.(*net.UnixConn), reader: bufio.NewReaderSize(socket, 1<<16),
		answer: Timeout, write: Timeout, streams: make(map[uint32]*Stream), ended: make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) }) // fails only when closed
	defer stop()
	if err := c.register(name); err != nil {
		_ = socket.Close() // the first error counts
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err())
		}
		return nil, fmt.Errorf("VPP's API socket %s: %w", path, err)
	}
	return c, nil
}

// SetPatience changes how long VPP may take for an answer to a call whose context
// has no deadline of its own, from Timeout to t. It is for before the first call.
func (c *Conn) SetPatience(t time.Duration) { c.answer = t }

// register makes us a client and learns the message numbers.
func (c *Conn) register(name string) error {
	request, err := codec.EncodeMsg(&memclnt.SockclntCreate{Name: name}, createNumber)
	if err != nil {
		return err
	}
	if _, err := c.socket.Write(frame(request)); err != nil {
		return err
	}
	answer, err := readFrame(c.reader)
	if err != nil {
		return err
	}
	var reply memclnt.SockclntCreateReply
	if err := codec.DecodeMsg(answer, &reply); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if reply.Response != 0 {
		return fmt.Errorf("registration is refused: %d", reply.Response)
	}
	c.client, c.ids = reply.Index, newNumbers(reply.MessageTable)
	return nil
}

// Check returns an *IncompatibleError that names those of messages that VPP
// does not know.
func (c *Conn) Check(messages ...api.Message) error { return c.ids.check(messages) }

// Run receives messages until ctx ends, and then returns nil, or until the
// connection breaks. It closes the connection.
func (c *Conn) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.end(ErrClosed) })
	defer stop()
	for {
		message, err := readFrame(c.reader)
		if err != nil {
			c.end(err)
			break
		}
		if s := c.stream(replyContext(message)); s != nil {
			s.deliver(message)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return c.error()
}

// Close ends the connection, with all calls that wait. A running Run returns.
func (c *Conn) Close() { c.end(ErrClosed) }

// Ended is closed when the connection has ended.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// end closes the connection for a reason, unless it is closed.
func (c *Conn) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = cause
	close(c.ended)
	_ = c.socket.Close() // there is nothing to be done about it
}

// error is why the connection ended; it wraps ErrClosed.
func (c *Conn) error() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil || errors.Is(c.cause, ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, c.cause)
}

// send encodes m and writes it. The deadline of the caller is not that of the
// write: half a message would break the connection for everybody.
func (c *Conn) send(m api.Message, context uint32) error {
	number, err := c.ids.of(m)
	if err != nil {
		return err
	}
	request, err := codec.EncodeMsg(m, number)
	if err != nil {
		return err
	}
	if err := address(request, c.client, context); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.socket.SetWriteDeadline(time.Now().Add(c.write)); err != nil {
		return c.error()
	}
	if _, err := c.socket.Write(frame(request)); err != nil {
		c.end(err)
		return c.error()
	}
	return nil
}

// Invoke sends a request and waits for its reply. The error wraps ErrNoAnswer,
// ErrClosed or the context's error, or is an *IncompatibleError. A return value
// in the reply is for the caller to judge.
func (c *Conn) Invoke(ctx context.Context, request, reply api.Message) error {
	s := c.open(ctx)
	defer s.close()
	if err := s.SendMsg(request); err != nil {
		return fmt.Errorf("%s: %w", request.GetMessageName(), err)
	}
	message, err := s.receive()
	if err != nil {
		return fmt.Errorf("%s: %w", request.GetMessageName(), err)
	}
	if number, err := c.ids.of(reply); err != nil || number != replyNumber(message) {
		return fmt.Errorf("%s: %w: number %d", request.GetMessageName(), ErrProtocol, replyNumber(message))
	}
	if err := codec.DecodeMsg(message, reply); err != nil {
		return fmt.Errorf("%s: %w: %w", request.GetMessageName(), ErrProtocol, err)
	}
	return nil
}

// WatchEvent is not supported: the driver asks instead of listening.
func (c *Conn) WatchEvent(context.Context, api.Message) (api.Watcher, error) {
	return nil, errors.ErrUnsupported
}
