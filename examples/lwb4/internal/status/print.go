package status

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Print writes the status for people.
func (s Status) Print(out io.Writer, now time.Time) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("state", "%s, by %s", s.State, s.Source)
	if s.Error != "" {
		row("last error", "%s", s.Error)
	}
	if s.LwB4.IsValid() {
		row("softwire", "%s to %s", s.LwB4, s.BR)
	}
	if len(s.Sets) > 0 {
		row("address", "%s", s.IPv4)
	}
	for _, set := range s.Sets {
		closed := ""
		if set.Closed {
			closed = ", closed"
		}
		row("port set", "%s, %d of %d ports in use%s", set.Set, set.InUse, set.Ports, closed)
	}
	if !s.Until.IsZero() {
		row("until", "%s, in %s", s.Until.UTC().Format(time.RFC3339), s.Until.Sub(now).Round(time.Second))
	}
	row("flows", "%d", s.Flows)
	row("not let through", "%d dropped, %d exhausted, %d unassigned", s.NAT.Dropped, s.NAT.Exhausted, s.NAT.Unassigned)
	for _, side := range []struct {
		name   string
		counts map[string]uint64
	}{{"from the lwAFTR", s.In}, {"from the LAN", s.Out}} {
		var parts []string
		for _, what := range slices.Sorted(maps.Keys(side.counts)) {
			parts = append(parts, fmt.Sprintf("%d %s", side.counts[what], what))
		}
		if len(parts) > 0 {
			row(side.name, "%s", strings.Join(parts, ", "))
		}
	}
	for _, m := range s.Mappings {
		peer := ""
		if m.Peer.IsValid() {
			peer = fmt.Sprintf(" for %s", m.Peer)
		}
		row("mapping", "%s %d to %s%s", m.Protocol, m.Port, m.Host, peer)
	}
	return t.Flush()
}
