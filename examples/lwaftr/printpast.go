package main

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// pastTime is RFC 3339 with what the history keeps of a second.
const pastTime = "2006-01-02T15:04:05.000Z07:00"

func printWho(w io.Writer, as format, who api.Who) error {
	switch {
	case as == formatJSON:
		return printJSON(w, who)
	case who.Hold == nil && as != formatCSV:
		_, err := fmt.Fprintf(w, "nobody held %s port %d at %s\n", who.IPv4, who.Port, who.At.Format(time.RFC3339))
		return err
	}
	return printHolds(w, as, func(yield func(api.Hold, error) bool) {
		if who.Hold != nil {
			yield(*who.Hold, nil)
		}
	})
}

func printHolds(w io.Writer, as format, all iter.Seq2[api.Hold, error]) error {
	head := []any{"START", "END", "ENDED", "SUBSCRIBER", "BINDING-IPV4-ADDR", "PORTS", "BINDING-IPV6INFO", "BR-IPV6-ADDR", "POOL", "MECHANISM", "ATTRIBUTES"}
	return printItems(w, as, head, all, func(h api.Hold) []any {
		end := api.Edge{}
		if h.End != nil {
			end = *h.End
		}
		return []any{edgeTime(h.Start, "before"), edgeTime(end, "-"), cmp.Or(end.Event, "-"), h.Subscriber, h.IPv4, portsHeld(h, as),
			h.B4, h.BR, cmp.Or(h.Pool, "-"), cmp.Or(h.Mechanism, "-"), cmp.Or(h.Attributes, "-")}
	})
}

// edgeTime is the time of e, or otherwise if that is not known.
func edgeTime(e api.Edge, otherwise string) string {
	if e.Time == nil {
		return otherwise
	}
	return e.Time.Format(pastTime)
}

// portsHeld is all ranges where programs read them; people see the first one,
// and how many there are.
func portsHeld(h api.Hold, as format) string {
	if as != formatCSV {
		return ports(h.PSIDOffset, h.PSIDLen, h.PSID)
	}
	all := make([]string, len(h.Ports))
	for i, r := range h.Ports {
		all[i] = r.String()
	}
	return strings.Join(all, " ")
}
