package main

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// past is what happened on the pool of the bench in three years: every port set
// is held again and again, nine tenths of the time, by subscribers who mostly
// come back.
type past struct {
	periods []period
	end     time.Time
}

// period is a part of it that becomes one run.
type period struct {
	from, to time.Time
	every    int // only every so manieth port set is held
	each     int // how often it is
}

const years = 3 * 365 * 24 * time.Hour

// returns is how often a subscriber holds a port set before another one does.
const returns = 4

// split makes periods of n holds in all: three of each size, each size a
// quarter of the one before.
func (p *past) split(n int) []period {
	const most, least = 3, 1 << 15
	var sizes []int
	for rest := n; rest > 0; {
		size := max(rest/4, least)
		if size < 2*least {
			size = rest
		}
		for range most {
			size = min(size, rest)
			if size > 0 {
				sizes = append(sizes, size)
			}
			rest -= size
		}
	}
	at := time.Date(2023, 3, 5, 0, 0, 0, 0, time.UTC)
	for _, size := range sizes {
		one := period{from: at, every: 1, each: 1}
		if size < maxBindings {
			one.every = (maxBindings + size - 1) / size
		} else {
			one.each = (size + maxBindings/2) / maxBindings
		}
		at = at.Add(time.Duration(float64(years) * float64(size) / float64(n))).Truncate(time.Millisecond)
		one.to = at
		p.periods = append(p.periods, one)
	}
	p.end = at
	return p.periods
}

// span is the n-th time that a port set is held in a period.
func (p period) span(n int) (start, end time.Time) {
	length := p.to.Sub(p.from) / time.Duration(p.each)
	start = p.from.Add(time.Duration(n) * length).Truncate(time.Millisecond)
	return start, start.Add(length * 9 / 10).Truncate(time.Millisecond)
}

// holds are those of a period, in order.
func (p period) holds(yield func(history.Hold) bool) {
	for i := 0; i < maxBindings; i += p.every {
		s, err := binding(i)
		if err != nil {
			return
		}
		h := history.Hold{Key: s.Key()}
		for n := range p.each {
			if n%returns == 0 {
				h.Holder = holderOf(s, i, n)
			}
			start, end := p.span(n)
			h.Start = history.Edge{Time: start, Kind: history.Allocated}
			h.End = history.Edge{Time: end, Kind: history.Expired}
			if !yield(h) {
				return
			}
		}
	}
}

// holderOf is who holds the i-th port set for the n-th time.
func holderOf(s softwire.Softwire, i, n int) history.Holder {
	who := uint32(i) + uint32(n/returns)*2654435761 // spreads over all there are
	ip := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint32(ip[3:], who%maxBindings)
	subscriber := netip.PrefixFrom(netip.AddrFrom16(ip), 56)
	ip[15] = 1
	duid := binary.BigEndian.AppendUint32([]byte{byte(lease.DUID), 10, 0, 3, 0, 1, 2, 0}, who%maxBindings)
	return history.Holder{
		Subscriber: subscriber, B4: netip.AddrFrom16(ip), BR: s.BR,
		Pool: "residential", Mechanism: "dhcpv6", Attributes: lease.Attributes(duid),
	}
}

// later are n events that follow the past, from the at-th on.
func (p *past) later(at, n int) []history.Event {
	events := make([]history.Event, n)
	for j := range events {
		i := (at + j) % maxBindings
		s, err := binding(i)
		if err != nil {
			return nil
		}
		events[j] = history.Event{
			Sequence: uint64(at + j + 1), Time: p.end.Add(time.Duration(at+j) * time.Millisecond),
			Kind: history.Allocated, Key: s.Key(), Holder: holderOf(s, i, 0),
		}
	}
	return events
}

// question is who held a port at a time, with the answer.
type question struct {
	ip         netip.Addr
	port       uint16
	at         time.Time
	held       bool
	subscriber netip.Prefix
	start      time.Time
}

// question is about any port set, and one time out of two about the last
// hundredth of the past, where most files have to be looked into.
func (p *past) question(r *rand.Rand) question {
	i := r.IntN(maxBindings)
	s, err := binding(i)
	if err != nil {
		return question{}
	}
	begin := p.periods[0].from
	if r.IntN(2) == 0 {
		begin = p.end.Add(-years / 100)
	}
	q := question{
		ip: s.IPv4, port: s.PortSet.PSID()<<(16-psidLen) | uint16(r.IntN(1<<(16-psidLen))),
		at: begin.Add(time.Duration(r.Int64N(int64(p.end.Sub(begin))))).Truncate(time.Millisecond),
	}
	k := slices.IndexFunc(p.periods, func(one period) bool { return q.at.Before(one.to) })
	one := p.periods[k]
	if i%one.every != 0 {
		return q
	}
	for n := range one.each {
		start, end := one.span(n)
		if !q.at.Before(start) && q.at.Before(end) {
			q.held, q.subscriber, q.start = true, holderOf(s, i, n).Subscriber, start
		}
	}
	return q
}
