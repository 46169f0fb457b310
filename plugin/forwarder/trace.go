package forwarder

import (
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Trace is what would happen to one packet, and why.
type Trace struct {
	Steps []string // in order, for people
	// Events are the counters that would move.
	Events []Event
	// Sent is what would be sent.
	Sent []Output
}

// Trace says what f would do with packet if it came in from side now. Nothing
// is sent or counted, and no memory of earlier packets is used or left: each
// trace has its own rate limits, and a fragment finds no others.
func (f *Forwarder) Trace(now time.Time, side dataplane.Side, packet []byte) Trace {
	w := f.NewWorker()
	t := &Trace{}
	w.tracer = t
	// The counters of softwires are shared with forwarding; a trace must not
	// move them.
	quiet := shared{table: f.shared.table, exceptions: f.shared.exceptions}
	quiet.settings.Store(f.shared.settings.Load())
	w.shared = &quiet

	buf := make([]byte, headroom+len(packet))
	copy(buf[headroom:], packet)
	t.step("%d octets from the %s side", len(packet), side)
	w.Begin(now)
	w.Packet(side, buf, headroom, len(buf))
	for _, o := range w.End() {
		t.Sent = append(t.Sent, Output{o.Side, append([]byte(nil), o.Packet...)})
	}
	if len(t.Sent) == 0 {
		t.step("nothing is sent")
	}
	return *t
}

func (t *Trace) step(format string, args ...any) {
	t.Steps = append(t.Steps, fmt.Sprintf(format, args...))
}

func (t *Trace) event(e Event) {
	t.Events = append(t.Events, e)
	t.step("%s: %s", e, e.Meaning())
}

func (t *Trace) match(what string, a [4]byte, m *softwire.Match) {
	t.step("%s %s: softwire of lwB4 %s, BR address %s", what, addr4(a[:]), addr6(m.B4[:]), addr6(m.BR[:]))
}

func (t *Trace) send(side dataplane.Side, b []byte) {
	if side == dataplane.SideIPv4 {
		t.step("sent to the %s side: %d octets, %s to %s", side, len(b), addr4(b[12:16]), addr4(b[16:20]))
		return
	}
	t.step("sent to the %s side: %d octets, %s to %s", side, len(b), addr6(b[8:24]), addr6(b[24:40]))
}
