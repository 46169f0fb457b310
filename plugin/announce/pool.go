package announce

import (
	"fmt"
	"time"
)

// State is where a pool stands.
type State uint8

// The states of a pool.
const (
	Unknown   State = iota // nothing is known of the data plane yet
	Waiting                // was never announced, and not everything is programmed
	Announced              // its routes are out
	Withdrawn              // was announced, and something is wrong
	HoldDown               // nothing is wrong any more, and it waits some time
	Held                   // has flapped, and waits for an operator
	Draining               // its routes are out, and traffic should leave
	Drained                // an operator has taken it out
)

// String names the state for status and metrics.
func (s State) String() string {
	names := [...]string{"unknown", "waiting", "announced", "withdrawn", "hold-down", "held", "draining", "drained"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// become sets the state and why it is that.
func (p *gatedPool) become(s State, now time.Time, reason string) {
	if p.state != s || p.since.IsZero() {
		p.state, p.since = s, now
	}
	p.reason, p.until = reason, time.Time{}
}

// decide moves one pool on. At the start it may be up from the run before.
func (g *gate) decide(name string, p *gatedPool, now time.Time, f facts, trouble string, start bool) {
	c, counted := f.pools[name]
	over := counted && g.overshare(c)
	mark(&p.over, over, now)
	bad := g.bad(f, trouble, c, counted)
	mark(&p.good, bad == "", now)

	if p.Up {
		why := trouble
		tooLong := over && now.Sub(p.over) >= g.config.UnprogrammedFor
		switch {
		case why != "":
		case start && g.lostSoftwires(c):
			why = "the data plane had lost its softwires"
		case start:
			why = bad
		case tooLong:
			why = bad
		}
		if why == "" {
			g.stay(name, p, now, f, over)
			return
		}
		g.withdraw(p, now, why, start)
	}
	g.wait(p, now, f, bad, c)
}

// mark keeps in since when is holds.
func mark(since *time.Time, is bool, now time.Time) {
	switch {
	case !is:
		*since = time.Time{}
	case since.IsZero():
		*since = now
	}
}

// bad says why a pool cannot be announced, or nothing.
func (g *gate) bad(f facts, trouble string, c count, counted bool) string {
	switch {
	case trouble != "":
		return trouble
	case !g.verified(f):
		return "what the data plane holds is not verified yet"
	case !counted:
		return "its softwires are not counted yet"
	case g.overshare(c):
		return fmt.Sprintf("%d of %d softwires are not programmed", c.missing(), c.desired)
	}
	return ""
}

// stay is for a pool that is up and stays so, unless its drain has ended.
func (g *gate) stay(name string, p *gatedPool, now time.Time, f facts, over bool) {
	if !p.draining() {
		p.become(Announced, now, "")
		if over {
			p.until = p.over.Add(g.config.UnprogrammedFor)
		}
		return
	}
	drain := g.config.Drain
	rate, measured := f.rates[name]
	idle := measured && rate <= float64(drain.Idle)
	earliest, latest := p.Drain.Add(drain.Min), p.Drain.Add(drain.Max)
	if !now.Before(latest) || idle && !now.Before(earliest) {
		p.Up, p.Drained = false, true
		p.become(Drained, now, "an operator has drained it")
		return
	}
	reason := "traffic is not measured yet"
	if measured {
		reason = fmt.Sprintf("%.0f packets per second", rate)
	}
	p.become(Draining, now, reason)
	if p.until = latest; now.Before(earliest) {
		p.until = earliest
	}
}

// withdraw takes in that a pool is lost. What was stopped on purpose is not
// counted as lost.
func (g *gate) withdraw(p *gatedPool, now time.Time, why string, start bool) {
	if start && g.memory.Stopped {
		p.Up = false
		return
	}
	p.lose(now, g.config.FlapWindow, why)
	p.withdrawals++
}

// wait is for a pool that is not up, until it is.
func (g *gate) wait(p *gatedPool, now time.Time, f facts, bad string, c count) {
	if !p.Drain.IsZero() {
		p.Drained = true
		p.become(Drained, now, "an operator has drained it")
		return
	}
	if !p.Known {
		switch {
		case bad != "":
			p.become(Waiting, now, bad)
		case c.missing() > 0:
			p.become(Waiting, now, fmt.Sprintf("%d of %d softwires are not programmed", c.missing(), c.desired))
		case !f.settled:
			p.become(Waiting, now, "the data plane does not serve it yet")
		default:
			g.rise(p, now)
		}
		return
	}
	if !p.Held && g.config.FlapLimit > 0 && bad == "" && p.Losses > 0 && p.returns(now, g.config.FlapWindow) >= g.config.FlapLimit {
		p.Held = true
		p.holds++
	}
	held := p.good.Add(g.holdDown(p.Losses))
	switch {
	case p.Held:
		p.become(Held, now, fmt.Sprintf("it came back %d times in %s and was lost again (%s); `lwaftr bgp release` lets it go", g.config.FlapLimit, g.config.FlapWindow, p.Reason))
	case bad != "":
		p.become(Withdrawn, now, bad)
	case now.Before(held):
		p.become(HoldDown, now, "it was lost: "+p.Reason)
		p.until = held
	default:
		g.rise(p, now)
	}
}

func (g *gate) rise(p *gatedPool, now time.Time) {
	p.rise(now)
	p.become(Announced, now, "")
}

// holdDown is how long a pool must be good after a number of losses in a row.
func (g *gate) holdDown(losses int) time.Duration {
	d := g.config.HoldDown
	for i := 1; i < losses && d < g.config.MaxHoldDown; i++ {
		d *= 2
	}
	if losses == 0 {
		return 0
	}
	return min(d, g.config.MaxHoldDown)
}
