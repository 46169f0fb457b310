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
func (g *gate) decide(p *gatedPool, m moment) {
	c, counted := m.pools[p.name]
	mark(&p.over, counted && g.overshare(c), m.now)
	bad := g.bad(m, c, counted)
	mark(&p.good, bad == "", m.now)
	if p.Up {
		why := g.fall(p, m, c, bad)
		if why == "" {
			g.stay(p, m)
			return
		}
		g.withdraw(p, m, why)
	}
	g.wait(p, m, c, bad)
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
func (g *gate) bad(m moment, c count, counted bool) string {
	switch {
	case m.trouble != "":
		return m.trouble
	case !g.verified(m.facts):
		return "what the data plane holds is not verified yet"
	case !counted:
		return "its softwires are not counted yet"
	case g.overshare(c):
		return c.text()
	}
	return ""
}

// fall says why a pool that is up cannot stay so, or nothing. It may stay where
// it could not come.
func (g *gate) fall(p *gatedPool, m moment, c count, bad string) string {
	switch {
	case m.trouble != "":
		return m.trouble
	case m.start && c.forgot():
		return "the data plane had lost its softwires"
	case m.start:
		return bad
	case !p.over.IsZero() && m.now.Sub(p.over) >= g.config.UnprogrammedFor:
		return c.text()
	}
	return ""
}

// stay is for a pool that is up and stays so, unless its drain has ended.
func (g *gate) stay(p *gatedPool, m moment) {
	if !p.draining() {
		p.become(Announced, m.now, "")
		if !p.over.IsZero() {
			p.until = p.over.Add(g.config.UnprogrammedFor)
		}
		return
	}
	drain := g.config.Drain
	rate, measured := m.rates[p.name]
	idle := measured && rate <= float64(drain.Idle)
	earliest, latest := p.Drain.Add(drain.Min), p.Drain.Add(drain.Max)
	if !m.now.Before(latest) || idle && !m.now.Before(earliest) {
		p.Up = false
		p.drained(m.now)
		return
	}
	reason := "traffic is not measured yet"
	if measured {
		reason = fmt.Sprintf("%.0f packets per second", rate)
	}
	p.become(Draining, m.now, reason)
	if p.until = latest; m.now.Before(earliest) {
		p.until = earliest
	}
}

// drained is the end of a drain.
func (p *gatedPool) drained(now time.Time) {
	p.Drained = true
	p.become(Drained, now, "an operator has drained it")
}

// withdraw takes in that a pool is lost. What was stopped on purpose is not
// counted as lost.
func (g *gate) withdraw(p *gatedPool, m moment, why string) {
	if m.start && g.memory.Stopped {
		p.Up = false
		return
	}
	p.lose(m.now, g.config.FlapWindow, why)
	p.withdrawals++
}

// wait is for a pool that is not up, until it is.
func (g *gate) wait(p *gatedPool, m moment, c count, bad string) {
	switch {
	case !p.Drain.IsZero():
		p.drained(m.now)
	case !p.Known:
		g.waitFirst(p, m, c, bad)
	default:
		g.waitAgain(p, m, bad)
	}
}

// waitFirst is for a pool that was never up.
func (g *gate) waitFirst(p *gatedPool, m moment, c count, bad string) {
	switch {
	case bad != "":
		p.become(Waiting, m.now, bad)
	case c.missing() > 0:
		p.become(Waiting, m.now, c.text())
	case !m.settled:
		p.become(Waiting, m.now, "the data plane does not serve it yet")
	default:
		g.rise(p, m.now)
	}
}

// waitAgain is for one that was.
func (g *gate) waitAgain(p *gatedPool, m moment, bad string) {
	if !p.Held && g.config.FlapLimit > 0 && bad == "" && p.Losses > 0 && p.returns(m.now, g.config.FlapWindow) >= g.config.FlapLimit {
		p.Held = true
		p.holds++
	}
	held := p.good.Add(g.holdDown(p.Losses))
	switch {
	case p.Held:
		p.become(Held, m.now, fmt.Sprintf("it came back %d times in %s and was lost again (%s); `lwaftr bgp release` lets it go", g.config.FlapLimit, g.config.FlapWindow, p.Reason))
	case bad != "":
		p.become(Withdrawn, m.now, bad)
	case m.now.Before(held):
		p.become(HoldDown, m.now, "it was lost: "+p.Reason)
		p.until = held
	default:
		g.rise(p, m.now)
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
