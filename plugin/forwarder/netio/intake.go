package netio

import (
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// arenaLen is the length in bytes of the memory for cut segments: enough for a
// full batch of the usual size, and for any one segment.
const arenaLen = 256 << 10

// intake makes frames of what a device received: it cuts super-packets,
// completes checksums and sorts packets by side.
type intake struct {
	counters *counters
	serves   [2]bool    // by side
	frames   [2][]Frame // by side, up to their capacity
	arena    []byte
	used     int // of arena
	cutting  segmenter
}

// newIntake collects up to batch frames of each side that the device serves.
func newIntake(counters *counters, sides []dataplane.Side, batch int) *intake {
	in := &intake{counters: counters, arena: make([]byte, arenaLen)}
	for _, side := range sides {
		in.serves[side] = true
		in.frames[side] = make([]Frame, 0, batch)
	}
	return in
}

// add takes what is in s. It calls flush when there is no room for more frames;
// flush takes all frames, and afterwards their memory is free.
func (in *intake) add(s *slot, flush func() error) error {
	packet := s.buf[s.start:s.end]
	side, ok := in.side(packet)
	if !ok {
		in.counters.drop(rxVersion)
		return nil
	}
	if s.vnet.super() {
		return in.cut(packet, s.vnet, side, flush)
	}
	if s.vnet.needsChecksum() &&
		!completeChecksum(packet, int(s.vnet.checksumStart), int(s.vnet.checksumOffset)) {
		in.counters.drop(rxOffload)
		return nil
	}
	if in.full(side, 0) {
		if err := flush(); err != nil {
			return err
		}
	}
	in.append(side, Frame{Buf: s.buf, Start: s.start, End: s.end})
	return nil
}

// cut takes the segments of a super-packet.
func (in *intake) cut(packet []byte, vnet vnetHeader, side dataplane.Side, flush func() error) error {
	if err := in.cutting.start(packet, vnet); err != nil {
		in.counters.drop(rxOffload)
		return nil
	}
	in.counters.rxSupers.Add(1)
	for n := in.cutting.next(); n > 0; n = in.cutting.next() {
		need := Headroom + n
		if in.full(side, need) {
			if err := flush(); err != nil {
				return err
			}
		}
		buf := in.arena[in.used : in.used+need : in.used+need]
		in.used += (need + 63) &^ 63
		in.cutting.take(buf[Headroom:])
		in.append(side, Frame{Buf: buf, Start: Headroom, End: need})
	}
	return nil
}

// full reports whether there is no room for another frame, or not for one that
// needs that many bytes of the arena.
func (in *intake) full(side dataplane.Side, need int) bool {
	return len(in.frames[side]) == cap(in.frames[side]) || in.used+need > len(in.arena)
}

func (in *intake) append(side dataplane.Side, f Frame) {
	in.frames[side] = append(in.frames[side], f)
	in.counters.received(1, f.End-f.Start)
}

// side is the side that a packet came from.
func (in *intake) side(packet []byte) (dataplane.Side, bool) {
	if len(packet) == 0 {
		return 0, false
	}
	var side dataplane.Side
	switch packet[0] >> 4 {
	case 4:
		side = dataplane.SideIPv4
	case 6:
		side = dataplane.SideIPv6
	default:
		return 0, false
	}
	return side, in.serves[side]
}

// reset forgets the frames.
func (in *intake) reset() {
	for side := range in.frames {
		in.frames[side] = in.frames[side][:0]
	}
	in.used = 0
}
