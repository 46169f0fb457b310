package vppdrv

import (
	"context"
	"iter"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/stats"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
)

// EventHandled is the name of the event that follows every "exceptions" of VPP:
// the packet was dealt with.
const EventHandled = "exceptions-handled"

// events are those that only the slow path has.
func (p *slowPath) events() []dataplane.Event {
	return []dataplane.Event{
		{
			Name: EventHandled, Packets: p.taken.Load(),
			Meaning: "packets from VPP that the control logic has dealt with",
		}, {
			Name: "drop-exception-unknown", Drop: true, Packets: p.unknown.Load(),
			Meaning: "no packet, or one that nothing of ours has handed over",
		}, {
			Name: "drop-exception-unsent", Drop: true, Packets: p.unsent.Load(),
			Meaning: "what became of an exception, and VPP did not take",
		}, {
			Name: "limited-too-big", Packets: p.errorsLimited.Load(),
			Meaning: "ICMPv4 errors of VPP that were not sent on, because of a limit or of what they are about",
		},
	}
}

// Events are those that Counters has and a forwarder has not, without packets.
func Events() []dataplane.Event {
	shared := make(map[string]bool)
	for e := range forwarder.Events {
		shared[e.String()] = true
	}
	all := slices.Concat(stats.Events(), new(slowPath).events())
	return slices.DeleteFunc(all, func(e dataplane.Event) bool { return shared[e.Name] })
}

// books are what counters have to remember.
type books struct {
	addresses stats.Ledger[netip.Addr]
	last      dataplane.Counters // as shown
}

// Counters is as in dataplane.Counter. Events are those of VPP and of the slow
// path together, where both have them.
func (d *Driver) Counters(ctx context.Context) (dataplane.Counters, error) {
	s, done, err := d.program(ctx)
	if err != nil {
		return dataplane.Counters{}, err
	}
	defer done()
	reading, err := d.stats.Read(ctx)
	if err != nil {
		return dataplane.Counters{}, err
	}
	slow, err := d.slow.forwarder.Counters(ctx)
	if err != nil {
		return dataplane.Counters{}, err
	}
	s.enter(reading)
	c := s.traffic(reading)
	c.Granularity = dataplane.PerAddress
	c.Encapsulated = plus(c.Encapsulated, slow.Encapsulated)
	c.Decapsulated = plus(c.Decapsulated, slow.Decapsulated)
	c.Hairpinned = plus(c.Hairpinned, slow.Hairpinned)
	c.Events = together(reading.Events, slow.Events, d.slow.events())
	s.books.monotonic(&c)
	return c, nil
}

// enter takes in what VPP has counted for addresses.
func (s *session) enter(r *stats.Reading) {
	s.books.addresses.Enter(r, r.Domains, func(yield func(netip.Addr, uint32) bool) {
		s.model.Indexes(func(i plan.Index) bool { return yield(i.IPv4, i.Number) })
	})
}

// traffic is what VPP has forwarded.
func (s *session) traffic(r *stats.Reading) dataplane.Counters {
	counted := s.topology.Counted()
	through := func(i topology.Index) dataplane.Traffic {
		if int(i) >= len(r.Interfaces) {
			return dataplane.Traffic{}
		}
		return r.Interfaces[i].Rx
	}
	fromB4 := withoutTunnel(through(counted.HairpinNobody))
	hairpinned := minus(through(counted.Hairpin), plus(fromB4, through(counted.Expired)))
	// Of what went to nobody, pools have counted what was for no address in use;
	// the rest was for the free ports of such.
	unbound := plus(withoutTunnel(through(counted.Nobody)), fromB4)
	for _, i := range s.model.PoolIndexes() {
		if int(i) < len(r.Domains) {
			unbound = minus(unbound, r.Domains[i].Tx)
		}
	}
	c := dataplane.Counters{Decapsulated: through(counted.Inside), Hairpinned: hairpinned}
	c.Encapsulated = minus(s.books.addresses.Total().Tx, plus(unbound, c.Hairpinned))
	return c
}

// withoutTunnel is the traffic without its outer headers.
func withoutTunnel(t dataplane.Traffic) dataplane.Traffic {
	t.Bytes -= min(t.Bytes, ip6Header*t.Packets)
	return t
}

// together adds up events of one name.
func together(lists ...[]dataplane.Event) []dataplane.Event {
	var all []dataplane.Event
	place := make(map[string]int)
	for _, list := range lists {
		for _, e := range list {
			if i, has := place[e.Name]; has {
				all[i].Packets += e.Packets
				continue
			}
			place[e.Name] = len(all)
			all = append(all, e)
		}
	}
	return all
}

// monotonic keeps c from going below what was shown before: its counters are
// read one after the other, and a difference of two may shrink.
func (b *books) monotonic(c *dataplane.Counters) {
	for _, t := range []struct{ now, last *dataplane.Traffic }{
		{&c.Encapsulated, &b.last.Encapsulated}, {&c.Decapsulated, &b.last.Decapsulated}, {&c.Hairpinned, &b.last.Hairpinned},
	} {
		t.now.Packets, t.now.Bytes = max(t.now.Packets, t.last.Packets), max(t.now.Bytes, t.last.Bytes)
	}
	b.last = *c
}

func plus(a, b dataplane.Traffic) dataplane.Traffic {
	return dataplane.Traffic{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes}
}

// minus is a less b, and zero at least.
func minus(a, b dataplane.Traffic) dataplane.Traffic {
	return dataplane.Traffic{Packets: a.Packets - min(a.Packets, b.Packets), Bytes: a.Bytes - min(a.Bytes, b.Bytes)}
}

// SoftwireCounters is as in dataplane.Counter, a row for each IPv4 address.
// VPP counts towards a row also what it sends to nobody from the address's free
// ports, and does not count what it cuts; of whole addresses it counts only
// what goes to their lwB4s. What the slow path forwards is in no row.
func (d *Driver) SoftwireCounters(ctx context.Context) iter.Seq2[dataplane.SoftwireCounters, error] {
	return func(yield func(dataplane.SoftwireCounters, error) bool) {
		rows, err := d.rows(ctx)
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(dataplane.SoftwireCounters{}, err)
		}
	}
}

// EachSoftwire calls visit with the row of each softwire that there is, and its
// place in keys, without a walk over all rows.
func (d *Driver) EachSoftwire(ctx context.Context, keys []softwire.Key, visit func(i int, c dataplane.SoftwireCounters)) error {
	s, done, err := d.program(ctx)
	if err != nil {
		return err
	}
	defer done()
	reading, err := d.stats.Read(ctx)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if index, ok := s.model.IndexOf(key); ok {
			visit(i, rowOf(key.IPv4, s.books.addresses.Look(reading, reading.Domains, key.IPv4, index)))
		}
	}
	return nil
}

func rowOf(ip netip.Addr, r stats.Row) dataplane.SoftwireCounters {
	return dataplane.SoftwireCounters{Key: softwire.Key{IPv4: ip}, ToB4: r.Tx, FromB4: r.Rx}
}

func (d *Driver) rows(ctx context.Context) ([]dataplane.SoftwireCounters, error) {
	s, done, err := d.program(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	reading, err := d.stats.Read(ctx)
	if err != nil {
		return nil, err
	}
	s.enter(reading)
	var rows []dataplane.SoftwireCounters
	s.model.Indexes(func(i plan.Index) bool {
		rows = append(rows, rowOf(i.IPv4, s.books.addresses.Of(i.IPv4)))
		return true
	})
	return rows, nil
}
