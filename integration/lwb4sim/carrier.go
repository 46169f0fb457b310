package lwb4sim

import (
	"context"
	"errors"
	"time"
)

// Letter is a PCP message from or to one lwB4.
type Letter struct {
	LwB4    int
	Message []byte
}

// Carrier carries letters between lwB4s and their server.
type Carrier interface {
	// Send sends letters. What there is no room for is lost.
	Send(out []Letter) error
	// Receive fills into with letters, whose messages may be in the memory of those
	// that it has, and returns how many. It waits for the first one until the
	// deadline, and then returns 0.
	Receive(into []Letter, deadline time.Time) (int, error)
}

// linkCarrier carries letters as packets.
type linkCarrier struct {
	link       Link
	population Population
	packet     []byte
}

// OverLink carries letters over a link that has nothing else to carry.
func OverLink(link Link, p Population) Carrier {
	return &linkCarrier{link: link, population: p, packet: make([]byte, maxPacket)}
}

// Send is as Carrier.Send.
func (c *linkCarrier) Send(out []Letter) error {
	for _, l := range out {
		// What the link has no room for is a lost request.
		_ = c.link.Send(c.population.packet(l.LwB4, l.Message))
	}
	return nil
}

// Receive is as Carrier.Receive.
func (c *linkCarrier) Receive(into []Letter, deadline time.Time) (int, error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	for {
		n, err := c.link.Receive(ctx, c.packet)
		if errors.Is(err, context.DeadlineExceeded) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		i, d, ok := c.population.receive(c.packet[:n])
		if ok && d.From == c.population.server() {
			into[0] = Letter{i, append(into[0].Message[:0], d.Payload...)}
			return 1, nil
		}
	}
}
