package forwarder

import (
	"encoding/binary"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Expect announces a packet that the same batch will give to Packet, so that
// the memory its softwire lies in is fetched together with that of the others.
// To call it for all packets of a batch before the first Packet makes large
// tables faster; it changes nothing else.
func (w *Worker) Expect(side dataplane.Side, b []byte) {
	// Only the common shapes are worth a look: no IPv4 options, and on the IPv6
	// side no extension headers.
	if side == dataplane.SideIPv6 {
		if len(b) < header6Len+header4Len+4 || b[6] != protoIPv4 {
			return
		}
		inner := b[header6Len:]
		w.probes = append(w.probes, softwire.Probe{IP: [4]byte(inner[12:16]), Port: binary.BigEndian.Uint16(inner[header4Len:])})
		return
	}
	if len(b) >= header4Len+4 {
		w.probes = append(w.probes, softwire.Probe{IP: [4]byte(b[16:20]), Port: binary.BigEndian.Uint16(b[header4Len+2:])})
	}
}

// warm fetches what was announced.
func (w *Worker) warm() {
	w.table.Warm(w.probes)
	for i := range w.probes {
		if p := &w.probes[i]; p.Found {
			w.warmed += w.shared.counters.softwires.peek(p.Slot)
		}
	}
	w.probes = w.probes[:0]
}
