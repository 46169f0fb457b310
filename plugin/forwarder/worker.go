package forwarder

import (
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Output is one packet that a Worker sends.
type Output struct {
	Side   dataplane.Side
	Packet []byte
}

// Worker processes packets. It belongs to one goroutine; the Workers of one
// Forwarder share the binding table and the counters. Its state is what
// RFC 7596 makes a forwarder remember: incomplete packets and how many errors
// were sent of late.
type Worker struct {
	shared *shared

	// Set for one batch.
	now      time.Time
	set      *settings
	table    *softwire.Snapshot
	out      []Output
	arena    arena
	tally    tally
	expected expected

	limit4, limit6 *limiter
	fragments      fragments
	cutter         cutter
	random         uint64
	tracer         *Trace
}

// Begin starts a batch of packets that all see the configuration and the table
// of this moment. What the batch before returned from End is void.
func (w *Worker) Begin(now time.Time) {
	w.now = now
	w.table = w.shared.table.Snapshot()
	if set := w.shared.settings.Load(); set != w.set {
		w.set = set
		w.fragments.configure(set.Reassembly)
	}
	w.out = w.out[:0]
	w.arena.reset()
	w.expected.reset()
	w.expire()
}

// Packet processes buf[start:end], which came in from side: an IP packet,
// maybe with padding after it. The octets before start may be written to, at
// most 64 of them; the packet itself too.
func (w *Worker) Packet(side dataplane.Side, buf []byte, start, end int) {
	if len(w.expected.probes) > 0 {
		w.advance()
	}
	p := packet{buf, start, end}
	if side == dataplane.SideIPv4 {
		w.fromIPv4(p)
	} else {
		w.fromIPv6(p)
	}
}

// End finishes the batch: its counts become visible, and it returns what is to
// be sent, in order. The packets lie in the buffers given to Packet or in the
// Worker, and stay as they are until the next Begin.
func (w *Worker) End() []Output {
	w.shared.counters.add(&w.tally)
	return w.out
}

// emit4 orders b sent out of the IPv4 side, unless that side's filters refuse
// it.
func (w *Worker) emit4(b []byte) {
	if len(w.set.Filters.IPv4Out) > 0 &&
		refuses(w.set.Filters.IPv4Out, addr4(b[12:16]), addr4(b[16:20]), b[9]) {
		w.drop(DropIPv4Filter)
		return
	}
	if w.tracer != nil {
		w.tracer.send(dataplane.SideIPv4, b)
	}
	w.out = append(w.out, Output{dataplane.SideIPv4, b})
}

// emit6 is emit4 for the IPv6 side.
func (w *Worker) emit6(b []byte) {
	if rules := w.set.Filters.IPv6Out; len(rules) > 0 {
		src, dst := addr6(b[8:24]), addr6(b[24:40])
		// To be cut is no way past a filter.
		if refuses(rules, src, dst, b[6]) || b[6] == nextFragment && refuses(rules, src, dst, b[header6Len]) {
			w.drop(DropIPv6Filter)
			return
		}
	}
	if w.tracer != nil {
		w.tracer.send(dataplane.SideIPv6, b)
	}
	w.out = append(w.out, Output{dataplane.SideIPv6, b})
}

// drop counts a packet that goes no further.
func (w *Worker) drop(e Event) { w.count(e) }

// count counts an event.
func (w *Worker) count(e Event) {
	w.tally.events[e]++
	if w.tracer != nil {
		w.tracer.event(e)
	}
}

// isBR reports whether a is one of our BR addresses.
func (w *Worker) isBR(a *[16]byte) bool {
	for i := range w.set.brs {
		if w.set.brs[i] == *a {
			return true
		}
	}
	return w.table.HasBR(*a)
}

// ours4 reports whether a is an IPv4 address that only our softwires have.
func (w *Worker) ours4(a [4]byte) bool {
	if w.table.Address(a) {
		return true
	}
	if len(w.set.pools) == 0 {
		return false
	}
	ip := netip.AddrFrom4(a)
	for _, p := range w.set.pools {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// nextRandom is a number that an observer of earlier ones cannot use to harm
// more than one packet; it is for fragment identifications (RFC 7739).
func (w *Worker) nextRandom() uint32 {
	w.random += 0x9e3779b97f4a7c15
	return uint32(mix64(w.random) >> 16)
}

func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
func addr6(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)) }
