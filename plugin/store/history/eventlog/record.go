package eventlog

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// Record is a line of the log. Keys are leaf names of RFC 8676 where it has one;
// times are RFC 3339.
type Record struct {
	Sequence   uint64       `json:"sequence"`
	Time       time.Time    `json:"time"`
	Event      string       `json:"event"` // allocated, changed, released, expired, moved, removed
	Reason     string       `json:"reason,omitempty"`
	Subscriber netip.Prefix `json:"subscriber"`
	IPv4       netip.Addr   `json:"binding-ipv4-addr"`
	PSIDOffset uint8        `json:"psid-offset"`
	PSIDLen    uint8        `json:"psid-len"`
	PSID       uint16       `json:"psid"`
	// Ports are all ranges of the port set, each like 1024-2047.
	Ports []portset.Range `json:"ports"`
	B4    netip.Addr      `json:"binding-ipv6info"`
	BR    netip.Addr      `json:"br-ipv6-addr"`
	Pool  string          `json:"pool"`
	// Mechanism is how it was provisioned: dhcpv6, pcp or static.
	Mechanism  string `json:"mechanism"`
	Attributes string `json:"attributes,omitempty"`
	// Start is when the lease began, if that is known; End is there in events that
	// end one.
	Start *time.Time `json:"start,omitempty"`
	End   *time.Time `json:"end,omitempty"`
}

// RecordOf is what the log says of e.
func RecordOf(e history.Event) Record {
	p := e.Key.PortSet.Params()
	r := Record{
		Sequence: e.Sequence, Time: e.Time.UTC(), Event: e.Kind.String(), Reason: e.Reason,
		Subscriber: e.Subscriber, IPv4: e.Key.IPv4,
		PSIDOffset: p.Offset(), PSIDLen: p.Length(), PSID: e.Key.PortSet.PSID(),
		B4: e.B4, BR: e.BR, Pool: e.Pool, Mechanism: string(e.Mechanism), Attributes: e.Attributes.String(),
	}
	for ports := range e.Key.PortSet.Ranges() {
		r.Ports = append(r.Ports, ports)
	}
	start, end := e.Start.UTC(), r.Time
	if e.Kind.Begins() {
		start = r.Time
	} else {
		r.End = &end
	}
	if !start.IsZero() {
		r.Start = &start
	}
	return r
}

// appendLine appends the line of e to b.
func appendLine(b []byte, e history.Event) ([]byte, error) {
	line, err := json.Marshal(RecordOf(e))
	if err != nil {
		return b, fmt.Errorf("event %d: %w", e.Sequence, err)
	}
	return append(append(b, line...), '\n'), nil
}
