package netio

import (
	"encoding/binary"
	"math/bits"
)

// flowKey is source and destination address, source and destination port, and
// protocol.
type flowKey struct {
	addresses uint64
	ports     uint32
	protocol  uint8
}

// flowOf finds the flow of a packet: IPv4 with TCP or UDP, and no fragment.
func flowOf(packet []byte) (flowKey, bool) {
	protocol, length, ok := skipIPv4(packet)
	if !ok || protocol != protocolTCP && protocol != protocolUDP || len(packet) < length+udpHeaderLen {
		return flowKey{}, false
	}
	return flowKey{
		addresses: binary.BigEndian.Uint64(packet[12:]),
		ports:     binary.BigEndian.Uint32(packet[length:]),
		protocol:  protocol,
	}, true
}

// flowTable remembers one number per flow for the time of one batch.
type flowTable struct {
	slots      []flowSlot // a power of two of them, at least twice the flows
	generation uint32     // slots of another one are empty
}

type flowSlot struct {
	key        flowKey
	generation uint32
	value      int32
}

// reset forgets all flows and makes room for as many as n.
func (t *flowTable) reset(n int) {
	t.generation++
	if len(t.slots) < 2*n || t.generation == 0 {
		size := max(len(t.slots), 1<<bits.Len(uint(2*n)))
		t.slots, t.generation = make([]flowSlot, size), 1
	}
}

// find returns where the flow's number is kept, -1 for a new flow. It is valid
// until the next reset; no more flows may be found than reset was told.
func (t *flowTable) find(key flowKey) *int32 {
	// Multiplication by the golden ratio spreads neighbouring addresses and
	// ports over the upper bits. A batch is too short for an attack on it.
	hash := (key.addresses ^ bits.RotateLeft64(uint64(key.ports), 29) ^ uint64(key.protocol)) * 0x9e3779b97f4a7c15
	mask := len(t.slots) - 1
	for i := int(hash>>32) & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.generation != t.generation {
			*s = flowSlot{key: key, generation: t.generation, value: -1}
			return &s.value
		}
		if s.key == key {
			return &s.value
		}
	}
}
