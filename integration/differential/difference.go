package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lwaftr/lw4o6/integration/differential/reference"
)

// Difference is the first batch that the forwarder and the reference treat
// differently.
type Difference struct {
	Scenario *Scenario
	Batch    int

	complaints []string
	want       []*reference.Verdict // the first is of what expired
	got        []sent
	counted    counts
	limited    bool
}

// String says what is different, what came in, what both did, why the
// reference did it, and how to see it again.
func (d *Difference) String() string {
	var t strings.Builder
	fmt.Fprintf(&t, "seed %d, batch %d of %d:\n", d.Scenario.Seed, d.Batch, len(d.Scenario.Batches))
	for _, complaint := range d.complaints {
		fmt.Fprintf(&t, "    %s\n", complaint)
	}
	for i, v := range d.want {
		if i > 0 {
			p := d.Scenario.Batches[d.Batch].Packets[i-1]
			fmt.Fprintf(&t, "in, from the %s side, %s: %s\n", p.Side, p.Note, describe(p.Data))
		}
		for _, reason := range v.Reasons {
			fmt.Fprintf(&t, "    reference: %s\n", reason)
		}
		for _, p := range v.Sent {
			fmt.Fprintf(&t, "    reference sends to the %s side: %s\n", p.Side, describe(p.Bytes))
		}
	}
	for _, e := range slices.Sorted(maps.Keys(d.counted.events)) {
		fmt.Fprintf(&t, "forwarder counts %s: %d\n", e, d.counted.events[e])
	}
	for _, p := range d.got {
		fmt.Fprintf(&t, "forwarder sends to the %s side: %s\n", p.side, describe(p.data))
	}
	fmt.Fprintf(&t, "the scenario:\n%s", d.Scenario)
	fmt.Fprintf(&t, "to see all of it again: go test ./integration/differential -run Agrees -seed %d\n", d.Scenario.Seed)
	return t.String()
}

// String lists the scenario's configuration, softwires and packets.
func (s *Scenario) String() string {
	var t strings.Builder
	fmt.Fprintf(&t, "%+v\n", s.Config)
	for _, sw := range s.Softwires {
		fmt.Fprintf(&t, "softwire %s\n", sw)
	}
	for i, b := range s.Batches {
		fmt.Fprintf(&t, "batch %d, %s later\n", i, b.After)
		if b.Change != nil {
			fmt.Fprintf(&t, "now %+v\n", b.Change.Config)
			for _, sw := range b.Change.Softwires {
				fmt.Fprintf(&t, "now softwire %s\n", sw)
			}
		}
		for _, p := range b.Packets {
			fmt.Fprintf(&t, "from the %s side, %s: %s\n", p.Side, p.Note, describe(p.Data))
		}
	}
	return t.String()
}
