package tunnel

import (
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
	"github.com/lwaftr/lw4o6/plugin/forwarder/fragment"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
)

// uplink is the way from the TUN device to the AFTR. One goroutine has it.
type uplink struct {
	*User
	packets  [][]byte // to be sent, with their outer headers
	messages []message
	vectors  []unix.Iovec
	fragment uint32 // the last Identification of a fragmented packet
	errors   limiter
	scratch  [encap.MaxTooBig]byte
}

func newUplink(u *User) *uplink {
	up := &uplink{User: u, fragment: rand.Uint32()}
	up.packets = make([][]byte, 0, 4*batch)
	return up
}

func (up *uplink) run() error {
	for {
		more, err := up.waitReadable(up.tun.Descriptor())
		if err != nil || !more {
			return err
		}
		if err := up.tun.Receive(up.take); err != nil {
			return err
		}
	}
}

// take sends what the LAN has sent.
func (up *uplink) take(frames []netio.Frame) {
	softwire, now := up.softwire.Load(), time.Now()
	for _, f := range frames {
		verdict := softwire.Outbound(f.Packet())
		if verdict == encap.Pass {
			up.sent.note(f.Packet(), now)
			outer := f.Buf[f.Start-encap.HeaderLen : f.End]
			softwire.Encapsulate(outer)
			verdict = up.queue(outer)
		}
		up.count(verdict)
	}
	up.flush()
}

func (up *uplink) count(v encap.Verdict) { up.stats.outbound[v].Add(1) }

// queue prepares a packet for flush: as it is, or in fragments.
func (up *uplink) queue(outer []byte) encap.Verdict {
	mtu := int(up.mtu.Load())
	if len(outer) <= mtu {
		up.packets = append(up.packets, outer)
		return encap.Pass
	}
	inner := outer[encap.HeaderLen:]
	// RFC 2473 section 7.2 (a): with DF set the sender is told, without it the
	// tunnel packet is fragmented.
	if encap.DontFragment(inner) {
		up.refuse(inner, mtu-encap.HeaderLen)
		return encap.TooBig
	}
	up.fragment++
	if _, err := fragment.IPv6((*heap)(&up.packets), outer, mtu, up.fragment); err != nil {
		return encap.Malformed
	}
	return encap.Pass
}

// refuse tells the sender of a packet the size that fits.
func (up *uplink) refuse(inner []byte, mtu int) {
	if !up.errors.allow(time.Now()) {
		return
	}
	if e := encap.TooBigError(up.scratch[:], inner, mtu); e != nil {
		// What gets lost is asked for again by the next packet.
		_ = up.tun.Inject(e)
	}
}

// heap is an Arena whose packets go to the end of a list.
type heap [][]byte

// Alloc implements fragment.Arena.
func (h *heap) Alloc(n int) []byte {
	b := make([]byte, n)
	*h = append(*h, b)
	return b
}

// flush sends what queue has prepared.
func (up *uplink) flush() {
	packets := up.packets
	up.packets = up.packets[:0]
	for len(up.messages) < len(packets) {
		up.messages = append(up.messages, message{})
		up.vectors = append(up.vectors, unix.Iovec{})
	}
	for i, p := range packets {
		point(&up.vectors[i], p)
		up.messages[i].header.Iov = &up.vectors[i]
		up.messages[i].header.SetIovlen(1)
	}
	relearned := false
	for done := 0; done < len(packets); {
		n, err := exchange(unix.SYS_SENDMMSG, up.sockets.send, up.messages[done:len(packets)], 0)
		done += n
		if err == nil || errors.Is(err, unix.EINTR) {
			continue
		}
		// The kernel has learned that less fits than what we queued by.
		if errors.Is(err, unix.EMSGSIZE) && !relearned {
			relearned = true
			if up.learnMTU() == nil {
				up.again(packets[done:])
				return
			}
		}
		up.count(encap.Unsent)
		done++
	}
}

// again queues and sends packets, of which some are now too large. They have
// been counted, so only those are counted again that do not go.
func (up *uplink) again(packets [][]byte) {
	left := append([][]byte(nil), packets...)
	for _, p := range left {
		if v := up.queue(p); v != encap.Pass {
			up.count(v)
		}
	}
	for _, p := range up.packets {
		if _, err := unix.Write(up.sockets.send, p); err != nil {
			up.count(encap.Unsent)
		}
	}
	up.packets = up.packets[:0]
}

// limiter allows a number of ICMP errors per second (RFC 1812 section 4.3.2.8).
type limiter struct {
	second int64
	used   int
}

const errorsPerSecond = 100

func (l *limiter) allow(now time.Time) bool {
	if s := now.Unix(); s != l.second {
		l.second, l.used = s, 0
	}
	l.used++
	return l.used <= errorsPerSecond
}
