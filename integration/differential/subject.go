package differential

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// headroom is what a Worker may write to before a packet, in octets.
const headroom = 64

// subject is the forwarder under test.
type subject struct {
	forwarder *forwarder.Forwarder
	worker    *forwarder.Worker
	softwires []softwire.Softwire
	before    counts
	batches   int
}

// counts is everything that a forwarder counts.
type counts struct {
	events                                 map[string]uint64
	encapsulated, decapsulated, hairpinned dataplane.Traffic
	toB4, fromB4                           map[softwire.Key]dataplane.Traffic
}

func newSubject(ctx context.Context, s *Scenario) (*subject, error) {
	f, err := forwarder.New(s.Config, silent{})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if err := f.Configure(ctx, s.Network); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	u := &subject{forwarder: f, worker: f.NewWorker()}
	if err := u.bind(ctx, s.Softwires); err != nil {
		return nil, err
	}
	u.before, err = u.counts(ctx)
	return u, err
}

// change makes a change of a scenario. It returns what is wrong with the
// counters afterwards: they go on for a softwire that stays with its lwB4, and
// start anew for every other.
func (u *subject) change(ctx context.Context, c *Change) ([]string, error) {
	if err := u.forwarder.SetConfig(c.Config); err != nil {
		return nil, fmt.Errorf("changed configuration: %w", err)
	}
	kept := make(map[softwire.Key]netip.Addr)
	for _, sw := range u.softwires {
		kept[sw.Key()] = sw.B4
	}
	if err := u.bind(ctx, c.Softwires); err != nil {
		return nil, err
	}
	before := u.before
	var err error
	if u.before, err = u.counts(ctx); err != nil {
		return nil, err
	}
	var wrong []string
	for _, sw := range c.Softwires {
		k := sw.Key()
		var toB4, fromB4 dataplane.Traffic
		if kept[k] == sw.B4 {
			toB4, fromB4 = before.toB4[k], before.fromB4[k]
		}
		if u.before.toB4[k] != toB4 || u.before.fromB4[k] != fromB4 {
			wrong = append(wrong, fmt.Sprintf("after the change softwire %s counts %+v to and %+v from its lwB4, want %+v and %+v",
				sw, u.before.toB4[k], u.before.fromB4[k], toB4, fromB4))
		}
	}
	if len(u.before.toB4) != len(c.Softwires) {
		wrong = append(wrong, fmt.Sprintf("%d softwires are counted, want %d", len(u.before.toB4), len(c.Softwires)))
	}
	return wrong, nil
}

// bind makes all the whole binding table.
func (u *subject) bind(ctx context.Context, all []softwire.Softwire) error {
	stays := make(map[softwire.Key]bool)
	for _, sw := range all {
		stays[sw.Key()] = true
	}
	var ops []dataplane.Op
	for _, sw := range u.softwires {
		if !stays[sw.Key()] {
			ops = append(ops, dataplane.Op{Kind: dataplane.Remove, Softwire: sw})
		}
	}
	for _, sw := range all {
		ops = append(ops, dataplane.Op{Kind: dataplane.Put, Softwire: sw})
	}
	results, err := u.forwarder.Apply(ctx, ops)
	if err != nil {
		return fmt.Errorf("softwires: %w", err)
	}
	for i, r := range results {
		if r.Outcome != dataplane.Programmed {
			return fmt.Errorf("%s softwire %s: %w", ops[i].Kind, ops[i].Softwire, r.Err)
		}
	}
	u.softwires = all
	return nil
}

// sent is a packet that came out of the subject.
type sent struct {
	side dataplane.Side
	data []byte
}

// run gives a batch to the Worker and returns what it sends.
func (u *subject) run(now time.Time, packets []Packet) []sent {
	bufs := make([][]byte, len(packets))
	for i, p := range packets {
		// Exactly as much room as is promised, so that a Worker that takes more
		// is noticed.
		bufs[i] = make([]byte, headroom+len(p.Data))
		copy(bufs[i][headroom:], p.Data)
	}
	// Only so many packets are given up for lack of time in one batch.
	for range maxIncomplete / 16 {
		u.worker.Begin(now)
		u.worker.End()
	}
	u.worker.Begin(now)
	if u.batches++; u.batches%2 == 0 { // to announce packets changes nothing
		for i, p := range packets {
			u.worker.Expect(p.Side, bufs[i][headroom:])
		}
	}
	for i, p := range packets {
		u.worker.Packet(p.Side, bufs[i], headroom, len(bufs[i]))
	}
	var out []sent
	for _, o := range u.worker.End() {
		out = append(out, sent{o.Side, append([]byte(nil), o.Packet...)})
	}
	return out
}

// exceptions takes what waits for the control logic.
func (u *subject) exceptions(ctx context.Context) ([]dataplane.Exception, error) {
	// With a context that ended, what waits is returned and nothing waited for.
	ended, cancel := context.WithCancel(ctx)
	cancel()
	var all []dataplane.Exception
	for {
		into := make([]dataplane.Exception, 16)
		n, err := u.forwarder.Exceptions(ended, into)
		if errors.Is(err, context.Canceled) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, into[:n]...)
	}
}

// counted returns what was counted since the last time, without zeros.
func (u *subject) counted(ctx context.Context) (counts, error) {
	now, err := u.counts(ctx)
	if err != nil {
		return counts{}, err
	}
	before := u.before
	u.before = now
	c := counts{
		events:       make(map[string]uint64),
		encapsulated: minus(now.encapsulated, before.encapsulated),
		decapsulated: minus(now.decapsulated, before.decapsulated),
		hairpinned:   minus(now.hairpinned, before.hairpinned),
		toB4:         make(map[softwire.Key]dataplane.Traffic),
		fromB4:       make(map[softwire.Key]dataplane.Traffic),
	}
	for name, n := range now.events {
		if n != before.events[name] {
			c.events[name] = n - before.events[name]
		}
	}
	for k, t := range now.toB4 {
		if d := minus(t, before.toB4[k]); d != (dataplane.Traffic{}) {
			c.toB4[k] = d
		}
	}
	for k, t := range now.fromB4 {
		if d := minus(t, before.fromB4[k]); d != (dataplane.Traffic{}) {
			c.fromB4[k] = d
		}
	}
	return c, nil
}

func (u *subject) counts(ctx context.Context) (counts, error) {
	c, err := u.forwarder.Counters(ctx)
	if err != nil {
		return counts{}, fmt.Errorf("counters: %w", err)
	}
	all := counts{
		events:       make(map[string]uint64),
		encapsulated: c.Encapsulated,
		decapsulated: c.Decapsulated,
		hairpinned:   c.Hairpinned,
		toB4:         make(map[softwire.Key]dataplane.Traffic),
		fromB4:       make(map[softwire.Key]dataplane.Traffic),
	}
	for _, e := range c.Events {
		all.events[e.Name] = e.Packets
	}
	for row, err := range u.forwarder.SoftwireCounters(ctx) {
		if err != nil {
			return counts{}, fmt.Errorf("counters of softwires: %w", err)
		}
		all.toB4[row.Key], all.fromB4[row.Key] = row.ToB4, row.FromB4
	}
	return all, nil
}

func minus(a, b dataplane.Traffic) dataplane.Traffic {
	return dataplane.Traffic{Packets: a.Packets - b.Packets, Bytes: a.Bytes - b.Bytes}
}

// silent is the forwarder.IO of a forwarder that is never run.
type silent struct{}

func (silent) Run(context.Context, func() *forwarder.Worker) error { return nil }
func (silent) Send(context.Context, dataplane.Side, []byte) error  { return nil }
