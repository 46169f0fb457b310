package lwb4sim

import (
	"context"
	"errors"
)

// Link carries whole IPv6 packets. Send and Receive may be used by one goroutine
// each.
type Link interface {
	// Send hands a packet over; it keeps nothing of it.
	Send(packet []byte) error
	// Receive waits for the next packet, copies it into b and returns its length,
	// or returns the context's error when it ends.
	Receive(ctx context.Context, b []byte) (int, error)
}

// Memory is one end of a link in memory.
type Memory struct {
	out chan<- []byte
	in  <-chan []byte
}

// ErrFull reports a packet that a link had no room for.
var ErrFull = errors.New("the link is full")

// NewMemory returns the two ends of a link that holds so many packets in each
// direction, and refuses more.
func NewMemory(packets int) (a, b *Memory) {
	there, back := make(chan []byte, packets), make(chan []byte, packets)
	return &Memory{out: there, in: back}, &Memory{out: back, in: there}
}

// Send is as Link.Send. The error is ErrFull.
func (m *Memory) Send(packet []byte) error {
	select {
	case m.out <- append([]byte(nil), packet...):
		return nil
	default:
		return ErrFull
	}
}

// Receive is as Link.Receive.
func (m *Memory) Receive(ctx context.Context, b []byte) (int, error) {
	select {
	case packet := <-m.in:
		return copy(b, packet), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
