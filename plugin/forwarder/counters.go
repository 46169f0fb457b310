package forwarder

import (
	"sync/atomic"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// traffic is packets and their IPv4 octets.
type traffic struct{ packets, octets uint64 }

func (t *traffic) add(octets int) {
	t.packets++
	t.octets += uint64(octets)
}

// tally is what one Worker counted within one batch.
type tally struct {
	events       [eventCount]uint32
	encapsulated traffic
	decapsulated traffic
	hairpinned   traffic
}

// forwarded counts a packet that goes into a softwire.
func (t *tally) forwarded(from *origin, octets int) {
	if from.hairpin {
		t.hairpinned.add(octets)
	} else {
		t.encapsulated.add(octets)
	}
}

// sharedTraffic is traffic that several Workers add to.
type sharedTraffic struct{ packets, octets atomic.Uint64 }

func (t *sharedTraffic) add(packets, octets uint64) {
	if packets > 0 {
		t.packets.Add(packets)
		t.octets.Add(octets)
	}
}

func (t *sharedTraffic) read() dataplane.Traffic {
	return dataplane.Traffic{Packets: t.packets.Load(), Bytes: t.octets.Load()}
}

// counters are the totals of all Workers.
type counters struct {
	events       [eventCount]atomic.Uint64
	encapsulated sharedTraffic
	decapsulated sharedTraffic
	hairpinned   sharedTraffic
	softwires    softwireCounters
}

// add moves what a Worker counted here.
func (c *counters) add(t *tally) {
	for e, n := range t.events {
		if n > 0 {
			c.events[e].Add(uint64(n))
		}
	}
	c.encapsulated.add(t.encapsulated.packets, t.encapsulated.octets)
	c.decapsulated.add(t.decapsulated.packets, t.decapsulated.octets)
	c.hairpinned.add(t.hairpinned.packets, t.hairpinned.octets)
	*t = tally{}
}

// softwireCounters has a row for each slot of the binding table. Rows are kept
// in pages, so that more can be added while Workers count.
type softwireCounters struct {
	pages atomic.Pointer[[]*counterPage]
}

const counterPageRows = 4096

type counterPage [counterPageRows]struct{ toB4, fromB4 sharedTraffic }

// grow makes room for slots rows. It is called before a table with that many is
// given to Workers, by one caller at a time.
func (c *softwireCounters) grow(slots int) {
	var pages []*counterPage
	if old := c.pages.Load(); old != nil {
		pages = *old
	}
	want := (slots + counterPageRows - 1) / counterPageRows
	if want <= len(pages) {
		return
	}
	grown := make([]*counterPage, want)
	for i := copy(grown, pages); i < want; i++ {
		grown[i] = new(counterPage)
	}
	c.pages.Store(&grown)
}

// row is nil in counters that never grew, those of a trace.
func (c *softwireCounters) row(slot uint32, dir direction) *sharedTraffic {
	pages := c.pages.Load()
	if pages == nil {
		return nil
	}
	row := &(*pages)[slot/counterPageRows][slot%counterPageRows]
	if dir == toB4 {
		return &row.toB4
	}
	return &row.fromB4
}

// add counts one packet of a softwire.
func (c *softwireCounters) add(slot uint32, dir direction, octets int) {
	if row := c.row(slot, dir); row != nil {
		row.add(1, uint64(octets))
	}
}

// peek reads something of a slot's row, to have the rest of it at hand.
func (c *softwireCounters) peek(slot uint32) uint64 {
	if row := c.row(slot, toB4); row != nil {
		return row.packets.Load()
	}
	return 0
}

// clear starts a slot's row anew, for the softwire that it was given to.
func (c *softwireCounters) clear(slot uint32) {
	for _, dir := range []direction{toB4, fromB4} {
		row := c.row(slot, dir)
		row.packets.Store(0)
		row.octets.Store(0)
	}
}
