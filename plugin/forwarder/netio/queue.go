package netio

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

const (
	// idle is how long a queue waits for packets before it calls its Processor
	// without any.
	idle = time.Second
	// rounds is how often a device is read in a row before the other one gets
	// its turn.
	rounds = 4
)

// queue moves the packets of one queue of each device through its processor.
// One goroutine runs it and nothing else uses it.
type queue struct {
	devices   []device
	intakes   []*intake // of devices
	bySide    [2]device
	slots     []slot
	processor Processor
	outputs   []Output
	packets   [2][][]byte // outputs, by side
	wake      int         // a descriptor that is readable when the queue is to end
	polled    []unix.PollFd
}

// newQueue makes a queue over one device for each side, or the same for both.
func newQueue(v4, v6 device, wake, batch int) *queue {
	q := &queue{
		bySide:  [2]device{dataplane.SideIPv4: v4, dataplane.SideIPv6: v6},
		slots:   newSlots(batch),
		outputs: make([]Output, 0, 2*batch),
		wake:    wake,
		polled:  []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}},
	}
	if v4 == v6 {
		q.attach(v4, batch, dataplane.SideIPv4, dataplane.SideIPv6)
	} else {
		q.attach(v4, batch, dataplane.SideIPv4)
		q.attach(v6, batch, dataplane.SideIPv6)
	}
	for side := range q.packets {
		q.packets[side] = make([][]byte, 0, 2*batch)
	}
	return q
}

func (q *queue) attach(d device, batch int, sides ...dataplane.Side) {
	q.devices = append(q.devices, d)
	q.intakes = append(q.intakes, newIntake(d.count(), sides, batch))
	q.polled = append(q.polled, unix.PollFd{Fd: int32(d.descriptor()), Events: unix.POLLIN})
}

// run processes packets until wake is readable, and then returns nil.
func (q *queue) run(processor Processor) error {
	q.processor = processor
	for {
		n, err := unix.Poll(q.polled, int(idle/time.Millisecond))
		if err != nil && !temporary(err) {
			return fmt.Errorf("poll: %w", err)
		}
		if n == 0 {
			if err := q.process(dataplane.SideIPv4, nil); err != nil {
				return err
			}
		}
		if n <= 0 {
			continue
		}
		if q.polled[0].Revents != 0 {
			return nil
		}
		for i, d := range q.devices {
			if q.polled[i+1].Revents == 0 {
				continue
			}
			if err := q.drain(d, q.intakes[i]); err != nil {
				return err
			}
		}
	}
}

// drain processes what waits at a device, within bounds.
func (q *queue) drain(d device, in *intake) error {
	flush := func() error { return q.flush(in) }
	for range rounds {
		n, err := d.receive(q.slots)
		if err != nil {
			return err
		}
		for i := range q.slots[:n] {
			if err := in.add(&q.slots[i], flush); err != nil {
				return err
			}
		}
		if err := flush(); err != nil {
			return err
		}
		if n < len(q.slots) {
			return nil
		}
	}
	return nil
}

// flush processes the frames that in has collected.
func (q *queue) flush(in *intake) error {
	for side, frames := range in.frames {
		if len(frames) == 0 {
			continue
		}
		if err := q.process(dataplane.Side(side), frames); err != nil {
			return err
		}
	}
	in.reset()
	return nil
}

// process has frames processed and sends what comes of them.
func (q *queue) process(side dataplane.Side, frames []Frame) error {
	q.outputs = q.processor.Process(time.Now(), side, frames, q.outputs[:0])
	for side := range q.packets {
		q.packets[side] = q.packets[side][:0]
	}
	for _, out := range q.outputs {
		if len(out.Packet) == 0 || len(out.Packet) > MaxPacket {
			q.bySide[out.Side].count().drop(txTooLong)
			continue
		}
		q.packets[out.Side] = append(q.packets[out.Side], out.Packet)
	}
	for side, packets := range q.packets {
		if len(packets) == 0 {
			continue
		}
		if err := q.bySide[side].transmit(packets); err != nil {
			return err
		}
	}
	return nil
}
