package differential

import (
	"bytes"
	"context"
	"time"

	"github.com/lwaftr/lw4o6/integration/differential/reference"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// epoch is when every scenario begins.
var epoch = time.Unix(1_700_000_000, 0)

// Coverage counts what was really compared.
type Coverage struct {
	Scenarios, Packets int
	Sent               int // packets that came out, alike
	Exceptions         int
	Flows, Labels      int // that were different from each other within a scenario
	Events             map[string]int
}

// Add adds other to c.
func (c *Coverage) Add(other Coverage) {
	c.Scenarios += other.Scenarios
	c.Packets += other.Packets
	c.Sent += other.Sent
	c.Exceptions += other.Exceptions
	c.Flows += other.Flows
	c.Labels += other.Labels
	if c.Events == nil {
		c.Events = make(map[string]int)
	}
	for e, n := range other.Events {
		c.Events[e] += n
	}
}

// Run gives s to the forwarder and to the reference and returns the first
// difference, nil if there is none. The error says that s cannot be set up.
func Run(ctx context.Context, s *Scenario) (*Difference, Coverage, error) {
	return run(ctx, s, nil)
}

// run is Run with a reference that sabotage, if any, changes before it is used.
func run(ctx context.Context, s *Scenario, sabotage func(*reference.AFTR)) (*Difference, Coverage, error) {
	// Rate limits are not modelled and far away, but two destinations may by
	// chance share a bucket within one batch. No two runs share the same.
	const attempts = 3
	for attempt := 1; ; attempt++ {
		d, cover, err := runOnce(ctx, s, sabotage)
		if d == nil || !d.limited || attempt == attempts {
			return d, cover, err
		}
	}
}

func runOnce(ctx context.Context, s *Scenario, sabotage func(*reference.AFTR)) (*Difference, Coverage, error) {
	u, err := newSubject(ctx, s)
	if err != nil {
		return nil, Coverage{}, err
	}
	r := newReference(s)
	if sabotage != nil {
		sabotage(r)
	}
	c := comparison{labels: make(map[string]uint32), used: make(map[string]bool)}
	cover := Coverage{Scenarios: 1, Events: make(map[string]int)}
	now := epoch
	for i, b := range s.Batches {
		now = now.Add(b.After)
		c.complaints = nil
		if b.Change != nil {
			if c.complaints, err = u.change(ctx, b.Change); err != nil {
				return nil, cover, err
			}
			apply(r, b.Change)
			if sabotage != nil {
				sabotage(r)
			}
		}
		want := expected(r, now, b)
		got := u.run(now, b.Packets)
		exceptions, err := u.exceptions(ctx)
		if err != nil {
			return nil, cover, err
		}
		counted, err := u.counted(ctx)
		if err != nil {
			return nil, cover, err
		}
		c.sent(got, want)
		c.exceptions(exceptions, want)
		c.counts(counted, want)
		if len(c.complaints) > 0 {
			return &Difference{
				Scenario: s, Batch: i, complaints: c.complaints,
				want: want, got: got, counted: counted, limited: limited(counted),
			}, cover, nil
		}
		cover.Packets += len(b.Packets)
		cover.Sent += len(got)
		cover.Exceptions += len(exceptions)
		for e, n := range counted.events {
			cover.Events[e] += int(n)
		}
	}
	cover.Flows, cover.Labels = c.flows()
	return nil, cover, nil
}

// newReference is the reference at the beginning of s.
func newReference(s *Scenario) *reference.AFTR {
	return &reference.AFTR{Config: s.Config, Network: s.Network, Softwires: s.Softwires}
}

// apply makes a change of a scenario.
func apply(r *reference.AFTR, c *Change) { r.Config, r.Softwires = c.Config, c.Softwires }

// expected is what the reference says of a batch: first what expires with it,
// then each packet.
func expected(r *reference.AFTR, now time.Time, b Batch) []*reference.Verdict {
	verdicts := []*reference.Verdict{r.Expire(now)}
	for _, p := range b.Packets {
		verdicts = append(verdicts, r.Process(now, p.Side, bytes.Clone(p.Data)))
	}
	r.Drain()
	return verdicts
}

// limited reports whether an error was held back by a rate limit.
func limited(c counts) bool {
	return c.events[forwarder.LimitedICMPv4.String()]+c.events[forwarder.LimitedICMPv6.String()] > 0
}
