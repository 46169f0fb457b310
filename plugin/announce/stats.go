package announce

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Stats is what is announced, and why the rest is not.
type Stats struct {
	Pools  []PoolStatus  // by name
	Routes []RouteStatus // by prefix
	Alarms []Alarm       // what an operator should look at
}

// PoolStatus is where one pool stands.
type PoolStatus struct {
	Name   string
	State  State
	Since  time.Time // when it came to State
	Reason string    // why it is not announced, or what it waits for
	Until  time.Time // when State may change by itself; zero: that depends

	Desired    int // softwires of the table
	Programmed int // of those, what the data plane holds
	// Rate is what was forwarded last, in packets per second; nil unless it is
	// measured, while it drains.
	Rate *float64
	// Withdrawals count losses, and Holds how often it was held, since New.
	Withdrawals, Holds uint64
}

// RouteStatus is one route that there is.
type RouteStatus struct {
	Announcement
	Announced bool
	Reason    string // why it is not announced
}

// Alarm is something that takes no route away, or did, and needs an operator.
type Alarm struct {
	Kind    AlarmKind
	Subject string // the pool or prefix that it is about, or empty
	Text    string
}

// AlarmKind names a kind of alarm, for logs and metrics.
type AlarmKind string

// The kinds of alarm.
const (
	AlarmLag          AlarmKind = "lag"          // changes wait too long for the data plane
	AlarmUnprogrammed AlarmKind = "unprogrammed" // softwires of an announced pool are missing
	AlarmHeld         AlarmKind = "held"         // a pool waits for an operator
	AlarmHalf         AlarmKind = "half"         // packets come for a pool, but not from its lwB4s
	AlarmSpeaker      AlarmKind = "speaker"      // the announcer did not take the routes
	AlarmState        AlarmKind = "state"        // the state file cannot be written
)

// alarms lists what is wrong and lets routes be, and says when to look again.
func (g *gate) alarms(now time.Time, f facts, routes []RouteStatus) (all []Alarm, again time.Time) {
	late := f.lag >= g.config.LagAlarm
	if late {
		all = append(all, Alarm{AlarmLag, "", fmt.Sprintf("changes have been waiting for the data plane for %s", f.lag.Round(time.Second))})
	} else if f.lag > 0 {
		again = now.Add(g.config.LagAlarm - f.lag)
	}
	for _, name := range slices.Sorted(maps.Keys(g.pools)) {
		p, c := g.pools[name], f.pools[name]
		if p.Up && c.missing() > 0 && (late || f.refused > 0) {
			all = append(all, Alarm{AlarmUnprogrammed, name, c.text()})
		}
		if p.state == Held {
			all = append(all, Alarm{AlarmHeld, name, p.reason})
		}
	}
	for _, r := range routes {
		up := func(name string) bool { return g.pools[name].Up }
		if r.Prefix.Addr().Is6() && !r.Announced && slices.ContainsFunc(r.Pools, up) {
			all = append(all, Alarm{AlarmHalf, r.Prefix.String(), "packets of lwB4s are not drawn here, though pools are announced: " + r.Reason})
		}
	}
	return all, again
}

// status is where all pools stand.
func (g *gate) status(f facts) []PoolStatus {
	var all []PoolStatus
	for _, name := range slices.Sorted(maps.Keys(g.pools)) {
		p := g.pools[name]
		s := PoolStatus{
			Name: name, State: p.state, Since: p.since, Reason: p.reason, Until: p.until,
			Desired: f.pools[name].desired, Programmed: f.pools[name].programmed,
			Withdrawals: p.withdrawals, Holds: p.holds,
		}
		if rate, ok := f.rates[name]; ok && p.state == Draining {
			s.Rate = &rate
		}
		all = append(all, s)
	}
	return all
}
