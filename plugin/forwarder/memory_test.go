package forwarder

import (
	"context"
	"errors"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// memory is an IO without devices: what a test puts in is processed in order by
// one Worker, and what comes out waits for the test.
type memory struct {
	in  chan memoryPacket
	out map[dataplane.Side]chan []byte
}

type memoryPacket struct {
	side   dataplane.Side
	packet []byte
}

const memoryQueue = 1 << 14

func newMemory() *memory {
	return &memory{
		in: make(chan memoryPacket),
		out: map[dataplane.Side]chan []byte{
			dataplane.SideIPv4: make(chan []byte, memoryQueue),
			dataplane.SideIPv6: make(chan []byte, memoryQueue),
		},
	}
}

func (m *memory) Run(ctx context.Context, newWorker func() *Worker) error {
	w := newWorker()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-m.in:
			buf := make([]byte, headroom+len(p.packet))
			copy(buf[headroom:], p.packet)
			w.Begin(time.Now())
			w.Packet(p.side, buf, headroom, len(buf))
			for _, o := range w.End() {
				if err := m.Send(ctx, o.Side, o.Packet); err != nil {
					return err
				}
			}
		}
	}
}

var errMemoryFull = errors.New("the test left too many packets unread")

func (m *memory) Send(_ context.Context, side dataplane.Side, packet []byte) error {
	select {
	case m.out[side] <- append([]byte(nil), packet...):
		return nil
	default:
		return errMemoryFull
	}
}

func (m *memory) put(ctx context.Context, side dataplane.Side, packet []byte) error {
	select {
	case m.in <- memoryPacket{side, packet}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) get(ctx context.Context, side dataplane.Side) ([]byte, error) {
	select {
	case p := <-m.out[side]:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
