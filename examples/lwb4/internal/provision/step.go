package provision

import (
	"fmt"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
)

// Machine is the state of a CPE. It is a value: Step returns the next one and
// leaves this one as it was.
type Machine struct {
	rules  Rules
	offers []Offer
	at     int // the offer that is connected, or is next
	phase  Phase
	ports  assign.Ports // while Using
	until  time.Time    // of the ports
	// next is when patience with the lwAFTR ends, or a pause.
	next  time.Time
	retry time.Duration // of the last pause
	err   error

	recovered    time.Time     // when ports were asked for anew the last time
	recoverAfter time.Duration // the pause before the next time
}

// New returns a CPE without any offer.
func New(rules Rules) Machine { return Machine{rules: rules, err: ErrNoOffer} }

// Status returns what is known now.
func (m Machine) Status() Status {
	s := Status{Phase: m.phase, Ports: m.ports, Until: m.until, Err: m.err}
	if m.phase != Waiting {
		s.Ends = m.offers[m.at].Ends
	}
	return s
}

// Next is when to step with Tick; zero is never.
func (m Machine) Next() time.Time {
	next := m.next
	if m.phase == Using && earlier(m.until, next) {
		next = m.until
	}
	for _, o := range m.offers {
		if earlier(o.Until, next) {
			next = o.Until
		}
	}
	return next
}

// earlier compares times of which zero is never.
func earlier(a, b time.Time) bool { return !a.IsZero() && (b.IsZero() || a.Before(b)) }

// Step returns the machine after an event, and what to do about it.
func (m Machine) Step(now time.Time, e Event) (Machine, Action) {
	switch e := e.(type) {
	case Offered:
		return m.offered(now, e.Offers)
	case Granted:
		if m.phase != Waiting && m.offers[m.at].asks() {
			return m.use(now, e.Ports, e.Until)
		}
	case Refused:
		if m.phase == Asking && len(m.offers) > 1 {
			return m.leave(now, e.Err)
		}
		return m.note(e.Err)
	case Silent:
		if m.phase != Waiting && len(m.offers) > 1 {
			return m.leave(now, ErrSilent)
		}
		return m.note(ErrSilent)
	case Unbound:
		return m.unbound(now)
	case Broken:
		return m.broken(now, e.Err)
	case Tick:
		return m.tick(now)
	}
	return m, Action{}
}

// note remembers what went wrong. What goes on is said once.
func (m Machine) note(err error) (Machine, Action) {
	var a Action
	if m.err == nil || m.err.Error() != err.Error() {
		a.Note = err.Error()
	}
	m.err = err
	return m, a
}

// offered takes note of all offers. What is in use stays in use if it is still
// offered, whatever its place in the list.
func (m Machine) offered(now time.Time, offers []Offer) (Machine, Action) {
	var current assign.Ends
	if m.phase != Waiting {
		current = m.offers[m.at].Ends
	}
	before := m.offers
	m.offers = slices.DeleteFunc(slices.Clone(offers), func(o Offer) bool { return !o.Until.IsZero() && !now.Before(o.Until) })
	at := slices.IndexFunc(m.offers, func(o Offer) bool { return o.Ends == current })
	switch {
	case len(m.offers) == 0:
		m.at, m.err = 0, ErrNoOffer
		if m.phase == Waiting {
			return m.wait(), Action{}
		}
		return m.stop()
	case m.phase == Waiting || at < 0 || before[m.at].asks() != m.offers[at].asks():
		m.at = 0
		return m.connect(now)
	}
	m.at = at
	if o := m.offers[at]; !o.asks() {
		return m.use(now, o.Ports, o.Until)
	}
	return m, Action{}
}

// wait is without an offer.
func (m Machine) wait() Machine {
	m.phase, m.ports, m.until, m.next = Waiting, assign.Ports{}, time.Time{}, time.Time{}
	return m
}

func (m Machine) stop() (Machine, Action) {
	a := Action{Disconnect: true, Note: m.err.Error()}
	if m.phase == Using {
		a.Use = &assign.Ports{}
	}
	return m.wait(), a
}

// connect turns to the offer that is next.
func (m Machine) connect(now time.Time) (Machine, Action) {
	o := m.offers[m.at]
	a := Action{Disconnect: m.phase != Waiting, Connect: &o}
	if m.phase == Using {
		a.Use = &assign.Ports{}
	}
	m = m.wait()
	m.phase, m.next = Asking, now.Add(m.rules.Patience)
	if !o.asks() {
		m, used := m.use(now, o.Ports, o.Until)
		a.Use = used.Use
		return m, a
	}
	return m, a
}

// leave turns from an offer to the one after it.
func (m Machine) leave(now time.Time, why error) (Machine, Action) {
	from := m.offers[m.at].Ends.BR
	m.at = (m.at + 1) % len(m.offers)
	m, a := m.connect(now)
	m.err = why
	a.Note = fmt.Sprintf("from lwAFTR %s to %s: %s", from, m.offers[m.at].Ends.BR, why)
	return m, a
}

// use takes ports into use, or goes on with those that are.
func (m Machine) use(now time.Time, ports assign.Ports, until time.Time) (Machine, Action) {
	if !until.IsZero() && !now.Before(until) {
		return m, Action{}
	}
	var a Action
	if m.phase != Using || !m.ports.Equal(ports) {
		a.Use = &ports
	}
	m.phase, m.ports, m.until, m.next, m.retry, m.err = Using, ports, until, time.Time{}, 0, nil
	return m, a
}

// unbound stops the use of ports that the lwAFTR does not know, and asks for
// others.
func (m Machine) unbound(now time.Time) (Machine, Action) {
	if m.phase != Using || !m.rules.Recover {
		return m, Action{}
	}
	since := now.Sub(m.recovered)
	switch {
	case m.recovered.IsZero() || since >= 2*m.rules.RecoverAtMost:
		m.recoverAfter = m.rules.RecoverAfter
	case since < m.recoverAfter:
		return m, Action{}
	default:
		m.recoverAfter = min(2*m.recoverAfter, m.rules.RecoverAtMost)
	}
	m.recovered, m.err = now, ErrUnbound
	a := Action{Use: &assign.Ports{}, Note: ErrUnbound.Error()}
	a.Ask = m.offers[m.at].asks()
	a.Renew = !a.Ask
	m.phase, m.ports, m.until, m.next = Asking, assign.Ports{}, time.Time{}, now.Add(m.rules.Patience)
	return m, a
}

// broken waits before the next offer has its turn.
func (m Machine) broken(now time.Time, err error) (Machine, Action) {
	if m.phase == Waiting {
		return m, Action{}
	}
	m.err = err
	retry := min(max(2*m.retry, m.rules.Retry), m.rules.RetryAtMost)
	at := (m.at + 1) % len(m.offers)
	m, a := m.stop()
	m.retry, m.next, m.at = retry, now.Add(retry), at
	return m, a
}

func (m Machine) tick(now time.Time) (Machine, Action) {
	due := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if slices.ContainsFunc(m.offers, func(o Offer) bool { return due(o.Until) }) {
		return m.offered(now, m.offers)
	}
	switch {
	case m.phase == Using && due(m.until):
		m.err = ErrExpired
		m.phase, m.ports, m.until, m.next = Asking, assign.Ports{}, time.Time{}, now.Add(m.rules.Patience)
		return m, Action{Use: &assign.Ports{}, Ask: true, Note: ErrExpired.Error()}
	case m.phase == Waiting && due(m.next):
		return m.connect(now)
	case m.phase == Asking && due(m.next):
		return m.impatient(now)
	}
	return m, Action{}
}

// impatient is when an lwAFTR did not answer in time.
func (m Machine) impatient(now time.Time) (Machine, Action) {
	o := m.offers[m.at]
	switch {
	// Whoever made the offer has nothing else to offer, and the lwAFTR may have been
	// told of it by now.
	case !o.asks():
		return m.use(now, o.Ports, o.Until)
	case len(m.offers) > 1:
		return m.leave(now, ErrSilent)
	}
	// Requests are repeated by the PCP client, and there is nobody else to ask.
	m.next = now.Add(m.rules.Patience)
	if m.err != nil {
		return m, Action{} // which has been said
	}
	return m.note(ErrSilent)
}
