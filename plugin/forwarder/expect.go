package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// expected is the packets of a batch that Expect announced, and what the
// binding table says about them.
type expected struct {
	probes []softwire.Probe
	looked bool // the table was asked
	next   int  // the probe of the next packet
	// counted only keeps reads from being optimised away.
	counted uint64
}

func (e *expected) reset() { *e = expected{probes: e.probes[:0], counted: e.counted} }

// Expect announces a packet that the same batch will give to Packet, so that
// the memory of its softwire is fetched together with that of the others. To
// call it for all packets of a batch, in their order, before the first Packet
// makes large tables faster; it changes nothing else.
func (w *Worker) Expect(side dataplane.Side, b []byte) {
	var p softwire.Probe
	// Only the common shapes are worth a look: no IPv4 options, and on the IPv6
	// side no extension headers.
	if side == dataplane.SideIPv4 {
		if len(b) >= header4Len+4 {
			p.IP, p.Port = [4]byte(b[16:20]), binary.BigEndian.Uint16(b[header4Len+2:])
		}
	} else if len(b) >= header6Len+header4Len+4 && b[6] == protoIPv4 {
		inner := b[header6Len:]
		p.IP, p.Port = [4]byte(inner[12:16]), binary.BigEndian.Uint16(inner[header4Len:])
	}
	w.expected.probes = append(w.expected.probes, p)
}

// advance makes the probe of the next packet the one that lookup tries.
func (w *Worker) advance() {
	e := &w.expected
	if !e.looked {
		e.looked = true
		w.table.LookupAll(e.probes)
		for i := range e.probes {
			if p := &e.probes[i]; p.Found {
				e.counted += w.shared.counters.softwires.peek(p.Match.Slot)
			}
		}
	}
	e.next++
}

// lookup is w.table.Lookup, which may have been done already for a packet that
// was announced.
func (w *Worker) lookup(ip [4]byte, port uint16) (softwire.Match, bool) {
	if i := w.expected.next - 1; uint(i) < uint(len(w.expected.probes)) {
		if p := &w.expected.probes[i]; p.IP == ip && p.Port == port {
			return p.Match, p.Found
		}
	}
	return w.table.Lookup(ip, port)
}
