package netio

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// TUN is a TUN device for IPv4 packets without a port around it: for a program
// that has its own loops and another way on the far side, as a lwB4 has. One
// goroutine may receive while another one transmits.
type TUN struct {
	queue  *tunQueue
	intake *intake
	slots  []slot
	handle *netlink.Handle
	close  sync.Once
}

// OpenTUN opens the TUN device that config describes, in the network namespace
// of the calling thread, with segmentation offload. batch is how many packets
// are received at a time at most.
//
// Errors wrap ErrPermission, ErrNoAccess, ErrUnsuitable or ErrBusy where these
// are the cause.
func OpenTUN(config DeviceConfig, batch int) (*TUN, error) {
	if batch < 1 || batch > maxBatch {
		return nil, fmt.Errorf("batch: %d is not in 1 to %d", batch, maxBatch)
	}
	if config.Kind != KindTUN {
		return nil, fmt.Errorf("%s is not a tun device", config.Kind)
	}
	if len(config.Routes) > 0 {
		return nil, errors.New("the routes to a device without a port are the caller's")
	}
	if err := config.validate(dataplane.SideIPv4); err != nil {
		return nil, fmt.Errorf("device %s: %w", config.Name, err)
	}
	handle, err := OpenNetlink()
	if err != nil {
		return nil, err
	}
	t := &TUN{handle: handle, slots: newSlots(batch)}
	if err := t.open(config, batch); err != nil {
		t.Close()
		return nil, fmt.Errorf("device %s: %w", config.Name, err)
	}
	return t, nil
}

func (t *TUN) open(config DeviceConfig, batch int) error {
	fds, err := openTUN(t.handle, config.Name, 1, true)
	if err != nil {
		return err
	}
	t.queue = newTUNQueue(fds[0], config.Name, nil)
	udp, err := setTUNOffload(fds[0])
	if err != nil {
		return err
	}
	t.queue = newTUNQueue(fds[0], config.Name, newCoalescer(2*batch, udp))
	t.intake = newIntake(t.queue.count(), []dataplane.Side{dataplane.SideIPv4}, batch)
	link, err := findLink(t.handle, config.Name)
	if err != nil {
		return err
	}
	if err := bringUp(t.handle, link, config.MTU, config.Addresses); err != nil {
		return err
	}
	added, err := newRoutes(t.handle, dataplane.SideIPv4, link.Attrs().Index)
	if err != nil {
		return err
	}
	return added.set(config.Routes)
}

// Descriptor is readable while packets wait. It does not block.
func (t *TUN) Descriptor() int { return t.queue.descriptor() }

// Receive hands packets that wait to process, which may be called several times
// and may write to the frames' buffers; they are used again when it returns.
// An error wraps ErrGone where the device went away, and means that there is no
// more to receive.
func (t *TUN) Receive(process func([]Frame)) error {
	flush := func() error {
		if frames := t.intake.frames[dataplane.SideIPv4]; len(frames) > 0 {
			process(frames)
		}
		t.intake.reset()
		return nil
	}
	n, err := t.queue.receive(t.slots)
	if err != nil {
		return err
	}
	for i := range t.slots[:n] {
		if err := t.intake.add(&t.slots[i], flush); err != nil {
			return err
		}
	}
	return flush()
}

// Transmit gives packets to the kernel in order, as if they came in by the
// device. What the kernel does not take is dropped and counted. An error wraps
// ErrGone.
func (t *TUN) Transmit(packets [][]byte) error { return t.queue.transmit(packets) }

// Inject is Transmit for one packet from any other goroutine. The error wraps
// ErrDropped or ErrGone.
func (t *TUN) Inject(packet []byte) error { return t.queue.inject(packet) }

// Stats reads the counters.
func (t *TUN) Stats() DeviceStats {
	s := DeviceStats{Name: t.queue.name, Kind: KindTUN, Sides: []dataplane.Side{dataplane.SideIPv4}, Ready: true, Drops: allCauses()}
	t.queue.count().addTo(&s)
	return s
}

// Close closes the device, which ends a TUN device that OpenTUN created along
// with its addresses and routes. Nothing may receive or transmit then.
func (t *TUN) Close() {
	t.close.Do(func() {
		if t.queue != nil {
			unix.Close(t.queue.fd)
		}
		t.handle.Close()
	})
}
