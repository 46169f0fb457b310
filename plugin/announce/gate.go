package announce

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// gate decides which routes are out. It does no I/O and knows no clock. It is
// about pools: each is up or not, and a route is out with its pools.
type gate struct {
	config GateConfig
	routes []Route // that there are
	pools  map[string]*gatedPool
	memory memory
	dirty  bool // memory has changed since it was saved

	born  time.Time
	known bool // the data plane has been looked at, so that routes are decided
	// incarnation is the one that pools are up in; lost is when the data plane last
	// did not forward what it should, and asked that a look at it is due since.
	incarnation uint64
	lost        time.Time
	asked       bool
}

// gatedPool is one pool, with what is not remembered of it.
type gatedPool struct {
	*record
	name        string
	good        time.Time // since when nothing is wrong with it; zero: something is
	over        time.Time // since when too many softwires are missing; zero: not
	withdrawals uint64
	holds       uint64

	state  State
	since  time.Time
	reason string
	until  time.Time // when the state may change by itself
}

// moment is what is known when the gate decides.
type moment struct {
	facts
	now     time.Time
	trouble string // why no pool can be up, or nothing
	start   bool   // the first decision
}

// decision is what a gate makes of a moment.
type decision struct {
	set    []Announcement // for Announcer.Set
	routes []RouteStatus
	alarms []Alarm
	again  time.Time // when to decide again if nothing happens; zero: never
	verify bool      // the data plane must be read back before anything returns
	// preserved: this is the first decision, and pools are up since the run before.
	preserved bool
}

func newGate(config GateConfig, remembered memory, now time.Time) *gate {
	remembered.restore(now)
	return &gate{config: config, memory: remembered, pools: make(map[string]*gatedPool), born: now}
}

// configure sets which routes there are, and of which pools. What is no more is
// forgotten.
func (g *gate) configure(routes []Route) {
	g.routes = routes
	wanted := make(map[string]bool)
	for _, r := range routes {
		for _, name := range r.Pools {
			wanted[name] = true
		}
	}
	for name := range wanted {
		if g.memory.Pools[name] == nil {
			g.memory.Pools[name] = &record{}
		}
		if g.pools[name] == nil {
			g.pools[name] = &gatedPool{record: g.memory.Pools[name], name: name}
		}
	}
	for name := range g.memory.Pools {
		if !wanted[name] {
			delete(g.memory.Pools, name)
			delete(g.pools, name)
		}
	}
	admitted := make(map[netip.Prefix]bool)
	for _, r := range routes {
		for _, part := range r.parts {
			if g.memory.Admitted[part] {
				admitted[part] = true
			}
		}
	}
	g.memory.Admitted = admitted
}

// unverified is why nothing is decided at the start.
const unverified = "the data plane has not been verified yet; peers keep what they have"

// step decides.
func (g *gate) step(now time.Time, f facts) decision {
	var d decision
	m := moment{facts: f, now: now, trouble: g.trouble(f), start: !g.known}
	if m.start && !g.learned(now, f) {
		for _, p := range g.pools {
			p.become(Unknown, now, unverified)
		}
		for _, r := range g.routes {
			d.routes = append(d.routes, RouteStatus{Announcement: r.Announcement, Reason: unverified})
		}
		d.again = g.born.Add(g.config.StartWait)
		return d
	}
	g.known = true
	if m.trouble != "" {
		g.lost, g.asked = now, false
	}
	if f.incarnation != 0 {
		g.incarnation = f.incarnation
	}
	for _, p := range g.pools {
		before := p.state
		g.decide(p, m)
		g.dirty = g.dirty || p.state != before
		// What came back just now was away.
		d.preserved = d.preserved || m.start && p.Up && p.Rose.Before(g.born)
	}
	g.memory.Stopped = false
	if f.forwarding && f.read && !f.syncing && !g.asked && !g.verified(f) {
		d.verify, g.asked = true, true
	}
	d.set = []Announcement{}
	for _, r := range g.routes {
		s := g.route(r, f)
		if s.Announced {
			d.set = append(d.set, s.Announcement)
		}
		d.routes = append(d.routes, s)
	}
	var lag time.Time
	d.alarms, lag = g.alarms(now, f, d.routes)
	d.again = lag
	for _, p := range g.pools {
		d.again = earliest(d.again, p.until)
	}
	if m.trouble != "" && f.forwarding {
		d.again = now // what is lost is lost once
	}
	return d
}

// earliest is the earlier of two times that are set.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// learned reports whether enough is known at the start to change what peers may
// still have from the run before.
func (g *gate) learned(now time.Time, f facts) bool {
	if now.Sub(g.born) >= g.config.StartWait || !f.verified.IsZero() {
		return true
	}
	if f.incarnation != 0 && !f.forwarding {
		return true
	}
	for _, c := range f.pools {
		if f.read && c.forgot() {
			return true
		}
	}
	return false
}

// verified reports whether the data plane was seen to be as it should be since
// it last was not.
func (g *gate) verified(f facts) bool { return !f.verified.IsZero() && !f.verified.Before(g.lost) }

// trouble says why no pool can be up, or nothing.
func (g *gate) trouble(f facts) string {
	switch {
	case !f.forwarding && f.reason != "":
		return "the data plane does not forward: " + f.reason
	case !f.forwarding:
		return "the data plane does not forward"
	case g.incarnation != 0 && f.incarnation != g.incarnation:
		return "the data plane has lost its softwires"
	}
	return ""
}

// overshare reports whether too many softwires of a pool are missing.
func (g *gate) overshare(c count) bool {
	return c.missing()*100 > c.desired*g.config.MaxUnprogrammed
}

// route says whether r is out.
func (g *gate) route(r Route, f facts) RouteStatus {
	s := RouteStatus{Announcement: r.Announcement}
	var up, complete int
	var waits []string
	for _, name := range r.Pools {
		p := g.pools[name]
		if p.draining() {
			s.Drain = true
		}
		switch {
		case p.Up:
			up++
			if c, ok := f.pools[name]; ok && c.missing() == 0 {
				complete++
			}
		case p.Known || !g.admitted(r):
			waits = append(waits, fmt.Sprintf("pool %s is %s", name, p.state))
		}
	}
	if complete == len(r.Pools) && f.settled && !g.admitted(r) {
		g.admit(r)
	}
	switch {
	case len(waits) > 0:
		s.Reason = strings.Join(waits, ", ")
	case up == 0:
		s.Reason = "none of its pools was announced yet"
	case !g.admitted(r):
		s.Reason = "it is new, and softwires of its pools are not programmed yet"
	default:
		s.Announced = true
	}
	return s
}

// admitted reports whether the pools of a route were complete once, with all that
// it leads to. From then on a pool that joins them does not take it away, and
// neither does another aggregate of the same.
func (g *gate) admitted(r Route) bool {
	for _, part := range r.parts {
		if !g.memory.Admitted[part] {
			return false
		}
	}
	return true
}

func (g *gate) admit(r Route) {
	for _, part := range r.parts {
		g.memory.Admitted[part] = true
	}
	g.dirty = true
}
