package netio

import (
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Headroom is how many bytes of a Frame's buffer before its packet a Processor
// may write to: an IPv6 header of 40 bytes, and room for 24 more.
const Headroom = 64

// MaxPacket is the length in bytes of the longest packet that netio receives
// or sends: an IPv6 packet with the largest payload length.
const MaxPacket = 40 + 65535

// Frame is one received IP packet, Buf[Start:End]. Start is at least Headroom.
// Its checksums are complete, and nothing else of it has been checked; it may
// be shorter than an IP header.
type Frame struct {
	Buf        []byte
	Start, End int
}

// Packet is the received packet.
func (f Frame) Packet() []byte {
	return f.Buf[f.Start:f.End]
}

// Output is one whole IP packet to send out of one side. Packet is an IPv4
// packet for SideIPv4 and an IPv6 packet for SideIPv6, with all its checksums.
type Output struct {
	Side   dataplane.Side
	Packet []byte
}

// Processor turns packets that came in from one side into packets to send.
// Each queue has its own Processor and calls it from one goroutine only.
type Processor interface {
	// Process appends to out what is to be sent, in the order of sending, and
	// returns the extended slice. It may write to the frames' buffers: to the
	// headroom and to the packets.
	//
	// An Output's packet may lie in a frame of this call or in memory of the
	// Processor. It must stay unchanged until the next call of Process; after
	// that netio does not look at it, and the frames' buffers are used again.
	//
	// While nothing arrives, Process is called with no frames about once a
	// second on each queue, for work that depends on time alone.
	Process(now time.Time, side dataplane.Side, in []Frame, out []Output) []Output
}
