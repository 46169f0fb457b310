package netio

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// port is what Port and Memory have in common for whoever runs one.
type port interface {
	Run(ctx context.Context, newProcessor func(queue int) Processor) error
	Send(side dataplane.Side, packet []byte) error
	Stats() Stats
}

var (
	_ port = (*Port)(nil)
	_ port = (*Memory)(nil)
)

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := NewMemory(2)
		done := make(chan error, 1)
		c := newCalls()
		go func() {
			done <- m.Run(ctx, func(queue int) Processor {
				if queue == 1 {
					return c // silent
				}
				return &batches{}
			})
		}()
		packet := tcpSpec().build([]byte("payload"))
		if err := m.Deliver(ctx, 0, dataplane.SideIPv4, packet, packet); err != nil {
			t.Fatal(err)
		}
		if got := m.Sent(dataplane.SideIPv6); len(got) != 2 || string(got[0]) != string(packet) {
			t.Errorf("sent % x", got)
		}
		if err := m.Deliver(ctx, 1, dataplane.SideIPv6, packet); err != nil {
			t.Fatal(err)
		}
		if got := m.Sent(dataplane.SideIPv4); len(got) != 0 || c.frames.Load() != 1 {
			t.Errorf("silence is %d packets after %d", len(got), c.frames.Load())
		}
		if err := m.Send(dataplane.SideIPv4, packet); err != nil {
			t.Fatal(err)
		}
		if got := m.Sent(dataplane.SideIPv4); len(got) != 1 || string(got[0]) != string(packet) {
			t.Errorf("sent % x", got)
		}
		if err := m.Send(dataplane.SideIPv6, packet); !errors.Is(err, ErrPacket) {
			t.Errorf("error %v", err)
		}
		if err := m.Deliver(ctx, 2, dataplane.SideIPv6, packet); err == nil {
			t.Error("there is no third queue")
		}

		before := c.empty.Load()
		time.Sleep(3*idle + idle/2)
		synctest.Wait()
		if got := c.empty.Load() - before; got != 3 {
			t.Errorf("called %d times in three seconds without packets", got)
		}

		stats := m.Stats()
		in, out := deviceOf(stats, dataplane.SideIPv4), deviceOf(stats, dataplane.SideIPv6)
		if in.Received.Packets != 2 || in.Received.Bytes != 2*uint64(len(packet)) || in.Sent.Packets != 1 ||
			out.Received.Packets != 1 || out.Sent.Packets != 2 || !in.Ready || stats.Queues != 2 {
			t.Errorf("%+v", stats)
		}

		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := m.Deliver(ctx, 0, dataplane.SideIPv4, packet); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: error %v", err)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory(1)
	packet := tcpSpec().build(nil)
	for range memoryQueue + 5 {
		if err := m.Send(dataplane.SideIPv4, packet); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(m.Sent(dataplane.SideIPv4)); got != memoryQueue {
		t.Errorf("%d packets are kept", got)
	}
	if got := deviceOf(m.Stats(), dataplane.SideIPv4).Drops[txFull]; got != (Drop{Cause: "tx-full", Packets: 5}) {
		t.Errorf("dropped %+v", got)
	}
}
