package netio

import (
	"net/netip"
	"sync/atomic"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Stats is what a port counted since it was opened.
type Stats struct {
	Queues  int
	Devices []DeviceStats // the IPv4 side's first; one if it serves both sides
}

// DeviceStats counts packets of one device, in and out, as a Processor sees
// them: after cutting and before joining. Bytes are those of IP packets.
type DeviceStats struct {
	Name     string
	Kind     Kind
	Sides    []dataplane.Side
	NextHop  netip.Addr // of a packet device; zero while there is none
	Ready    bool       // whether packets can be sent: the next hop is resolved
	Received dataplane.Traffic
	Sent     dataplane.Traffic
	// SupersReceived and SupersSent count super-packets.
	SupersReceived uint64
	SupersSent     uint64
	Drops          []Drop // all causes, in a fixed order
}

// Drop is how many packets were dropped for a cause.
type Drop struct {
	Cause   string
	Packets uint64
}

// cause is why a packet was dropped.
type cause uint8

const (
	rxTruncated cause = iota // longer than MaxPacket
	rxVersion                // neither version of IP, or not the side's
	rxOffload                // a super-packet that cannot be cut
	rxOverrun                // the kernel's receive queue was full
	txTooLong                // longer than the device's MTU
	txNoNextHop              // the next hop's link address is not known
	txFull                   // the kernel's send queue was full
	txDown                   // the device is down
	txRefused                // the kernel refused it for another reason
	causes
)

// String names the cause for counters; the names are stable.
func (c cause) String() string {
	return [causes]string{
		rxTruncated: "rx-truncated",
		rxVersion:   "rx-wrong-version",
		rxOffload:   "rx-offload",
		rxOverrun:   "rx-overrun",
		txTooLong:   "tx-too-long",
		txNoNextHop: "tx-no-next-hop",
		txFull:      "tx-full",
		txDown:      "tx-down",
		txRefused:   "tx-refused",
	}[c]
}

// counters are those of one queue of a device, so that mostly one goroutine
// writes to them.
type counters struct {
	rxPackets, rxBytes, rxSupers atomic.Uint64
	txPackets, txBytes, txSupers atomic.Uint64
	drops                        [causes]atomic.Uint64
	_                            [64]byte // keeps another queue's off the cache line
}

func (c *counters) drop(why cause) {
	c.drops[why].Add(1)
}

func (c *counters) received(packets, bytes int) {
	c.rxPackets.Add(uint64(packets))
	c.rxBytes.Add(uint64(bytes))
}

func (c *counters) sent(packets, bytes int) {
	c.txPackets.Add(uint64(packets))
	c.txBytes.Add(uint64(bytes))
}

// addTo adds c to the device's totals. Drops has all causes already.
func (c *counters) addTo(s *DeviceStats) {
	s.Received.Packets += c.rxPackets.Load()
	s.Received.Bytes += c.rxBytes.Load()
	s.SupersReceived += c.rxSupers.Load()
	s.Sent.Packets += c.txPackets.Load()
	s.Sent.Bytes += c.txBytes.Load()
	s.SupersSent += c.txSupers.Load()
	for i := range c.drops {
		s.Drops[i].Packets += c.drops[i].Load()
	}
}

// allCauses is a zero count of every cause.
func allCauses() []Drop {
	drops := make([]Drop, causes)
	for i := range drops {
		drops[i].Cause = cause(i).String()
	}
	return drops
}
