package script

import (
	"context"
	"fmt"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/vlib"
)

// ahead is how many scripts VPP is given before it has answered the first.
const ahead = 16

// Queue runs scripts one after the other without waiting for the answer to one
// before the next is sent. It is for one goroutine, which calls Receive when the
// queue is Full, and at the end until nothing is Pending.
type Queue struct {
	stream  api.Stream
	pending int
}

// Open returns an empty Queue, which ends with ctx. The caller closes it.
func Open(ctx context.Context, conn api.Connection) (*Queue, error) {
	stream, err := conn.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	return &Queue{stream: stream}, nil
}

// Close forgets answers that were not received.
func (q *Queue) Close() { _ = q.stream.Close() } // it always succeeds

// Pending is the number of scripts whose answer was not received.
func (q *Queue) Pending() int { return q.pending }

// Full reports whether an answer is to be received before the next Send.
func (q *Queue) Full() bool { return q.pending >= ahead }

// Send sends a script.
func (q *Queue) Send(lines ...string) error {
	if err := q.stream.SendMsg(message(lines)); err != nil {
		return err
	}
	q.pending++
	return nil
}

// Receive returns what the oldest pending script printed. The errors are those
// of Run: after one that wraps ErrRefused the queue goes on, after another
// nothing is known of what is pending.
func (q *Queue) Receive() (output string, err error) {
	m, err := q.stream.RecvMsg()
	if err != nil {
		return "", err
	}
	reply, ok := m.(*vlib.CliInbandReply)
	if !ok {
		return "", fmt.Errorf("VPP answers a script with %s", m.GetMessageName())
	}
	q.pending--
	return judge(reply)
}
