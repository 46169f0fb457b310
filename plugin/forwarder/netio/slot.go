package netio

// slotLen is the length of a slot's buffer: the headroom, the longest packet,
// and one byte more that shows when a packet was longer than that. It is
// rounded up to cache lines, and is no multiple of a page so that the starts of
// packets do not compete for the same cache sets.
const slotLen = (Headroom + MaxPacket + 1 + 63) &^ 63

// slot is a buffer for one packet of a device, before segmentation.
type slot struct {
	buf        []byte // slotLen bytes
	start, end int    // the packet; start is at least Headroom
	vnet       vnetHeader
}

func newSlots(n int) []slot {
	memory := make([]byte, n*slotLen)
	slots := make([]slot, n)
	for i := range slots {
		slots[i].buf = memory[i*slotLen : (i+1)*slotLen : (i+1)*slotLen]
	}
	return slots
}

// device is one queue of a network device. Only its goroutine uses it, except
// for inject.
type device interface {
	// descriptor is readable while packets wait.
	descriptor() int
	// receive fills slots with what waits now, without blocking, and returns
	// how many. Fewer than there are slots, or an error, means that it was
	// wise to stop; there may be more. An error ends the port.
	receive(slots []slot) (int, error)
	// transmit sends packets, of which none is empty, in order. What cannot be
	// sent now is dropped and counted. An error ends the port.
	transmit(packets [][]byte) error
	// inject sends one packet, from any goroutine.
	inject(packet []byte) error
	count() *counters
}
