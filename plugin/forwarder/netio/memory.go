package netio

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// memoryQueue is how many packets a Memory keeps for each side until Sent takes
// them.
const memoryQueue = 1 << 16

// Memory is a port without a kernel: what arrives is said by Deliver, and what
// was sent is taken by Sent. Its methods may be called from several goroutines.
type Memory struct {
	arrivals []chan arrival // one per queue

	mu      sync.Mutex
	sent    [2][][]byte // by side
	dropped [2]uint64   // by side: what did not fit into sent
	counts  [2]struct{ received, sent dataplane.Traffic }
}

// arrival is a batch of one side. done is closed after it was processed.
type arrival struct {
	side   dataplane.Side
	frames []Frame
	done   chan struct{}
}

// NewMemory makes a port with at least one queue.
func NewMemory(queues int) *Memory {
	m := &Memory{arrivals: make([]chan arrival, max(queues, 1))}
	for i := range m.arrivals {
		m.arrivals[i] = make(chan arrival)
	}
	return m
}

// Run is as Port.Run.
func (m *Memory) Run(ctx context.Context, newProcessor func(queue int) Processor) error {
	processors := make([]Processor, len(m.arrivals))
	for i := range processors {
		processors[i] = newProcessor(i)
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, arrivals := range m.arrivals {
		group.Go(func() error {
			m.run(ctx, arrivals, processors[i])
			return nil
		})
	}
	return group.Wait()
}

func (m *Memory) run(ctx context.Context, arrivals <-chan arrival, processor Processor) {
	ticker := time.NewTicker(idle)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.keep(processor.Process(time.Now(), dataplane.SideIPv4, nil, nil))
		case a := <-arrivals:
			m.keep(processor.Process(time.Now(), a.side, a.frames, nil))
			close(a.done)
		}
	}
}

// Deliver is the arrival of packets from one side, in one batch on one queue.
// When it returns nil they have been processed, and what came of them can be
// had from Sent: an empty Sent is then proof of silence. It blocks while
// nothing runs the queue. The caller keeps packets.
func (m *Memory) Deliver(ctx context.Context, queue int, side dataplane.Side, packets ...[]byte) error {
	if queue < 0 || queue >= len(m.arrivals) {
		return fmt.Errorf("deliver: no queue %d", queue)
	}
	a := arrival{side: side, done: make(chan struct{})}
	var traffic dataplane.Traffic
	for _, packet := range packets {
		f := Frame{Buf: make([]byte, Headroom+len(packet)), Start: Headroom, End: Headroom + len(packet)}
		copy(f.Packet(), packet)
		a.frames = append(a.frames, f)
		traffic.Packets++
		traffic.Bytes += uint64(len(packet))
	}
	select {
	case m.arrivals[queue] <- a:
	case <-ctx.Done():
		return fmt.Errorf("deliver: %w", ctx.Err())
	}
	m.mu.Lock()
	m.counts[side].received.Packets += traffic.Packets
	m.counts[side].received.Bytes += traffic.Bytes
	m.mu.Unlock()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("deliver: %w", ctx.Err())
	}
}

// Sent takes what was sent out of one side since the last call, in order.
func (m *Memory) Sent(side dataplane.Side) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	packets := m.sent[side]
	m.sent[side] = nil
	return packets
}

// Send is as Port.Send.
func (m *Memory) Send(side dataplane.Side, packet []byte) error {
	if !wholePacket(side, packet) {
		return fmt.Errorf("send to %s: %w", side, ErrPacket)
	}
	m.keep([]Output{{Side: side, Packet: packet}})
	return nil
}

// keep copies outputs for Sent.
func (m *Memory) keep(outputs []Output) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, out := range outputs {
		if len(m.sent[out.Side]) == memoryQueue {
			m.dropped[out.Side]++
			continue
		}
		m.sent[out.Side] = append(m.sent[out.Side], append([]byte(nil), out.Packet...))
		m.counts[out.Side].sent.Packets++
		m.counts[out.Side].sent.Bytes += uint64(len(out.Packet))
	}
}

// Stats is as Port.Stats, with one device per side.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	stats := Stats{Queues: len(m.arrivals)}
	for side, c := range m.counts {
		s := DeviceStats{
			Name:     "memory",
			Kind:     KindMemory,
			Sides:    []dataplane.Side{dataplane.Side(side)},
			Ready:    true,
			Received: c.received,
			Sent:     c.sent,
			Drops:    allCauses(),
		}
		s.Drops[txFull].Packets = m.dropped[side]
		stats.Devices = append(stats.Devices, s)
	}
	return stats
}
