package client

import (
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Step returns the mapping after an event, and what to do about it.
func (m Mapping) Step(now time.Time, e Event) (Mapping, Action) {
	if m.phase == phaseClosed {
		return m, Action{}
	}
	switch e := e.(type) {
	case Tick:
		return m.tick(now, e.NotBefore)
	case Answer:
		// RFC 6887 section 8.3: what answers a request that was never sent is
		// ignored. RFC 7488 section 3: an address that was given up for another one is not
		// listened to.
		if e.Server == m.server && m.phase != phaseIdle && m.rules.Want.Matches(e.Response) {
			return m.answer(now, e.Response)
		}
	case OtherVersion:
		if e.Server == m.server && m.tries > 0 {
			return m.otherVersion(now, e.Err)
		}
	case Unreachable:
		// RFC 7488 section 3: on a hard error the client "MUST immediately try the
		// next IP address".
		if e.Server == m.server && m.tries > 0 && m.rules.Servers > 1 {
			m.tries = m.rules.Timing.Tries
			return m.send(now)
		}
	case StateLost:
		// RFC 6887 section 14.1.3: "it MUST wait a random amount of time between 0
		// and 5 seconds". What is not held is being asked for anyway.
		if e.Server == m.server && m.held() && m.phase != phaseAsking {
			m = m.ask(now.Add(scale(m.rules.Timing.Spread, m.rules.Random())))
		}
	case Release:
		m.deletion = true
		return m.ask(now).tick(now, e.NotBefore)
	}
	return m, Action{}
}

// ask begins to ask at a time, anew.
func (m Mapping) ask(at time.Time) Mapping {
	m.phase, m.next = phaseAsking, at
	m.tries, m.turns, m.wait = 0, 0, 0
	return m
}

func (m Mapping) tick(now, notBefore time.Time) (Mapping, Action) {
	lost := m.held() && !now.Before(m.expires)
	if lost {
		m.expires = time.Time{}
		if m.deletion || !m.rules.Renew {
			return m.close(), Action{Report: true}
		}
		if m.phase == phaseHolding {
			m = m.ask(now)
		}
	}
	if m.next.Before(notBefore) {
		m.next = notBefore
	}
	if now.Before(m.next) {
		return m, Action{Report: lost}
	}
	if m.phase == phaseIdle || m.phase == phasePausing {
		m = m.ask(now)
	}
	m, action := m.send(now)
	action.Report = action.Report || lost
	return m, action
}

func (m Mapping) close() Mapping {
	m.phase, m.next, m.expires = phaseClosed, time.Time{}, time.Time{}
	return m
}

// send sends a request now, or turns to the next address, or pauses if each had
// its turn.
func (m Mapping) send(now time.Time) (Mapping, Action) {
	timing := &m.rules.Timing
	if m.rules.Servers > 1 && m.tries >= timing.Tries {
		m.server = (m.server + 1) % m.rules.Servers
		m.tries, m.wait = 0, 0
		m.turns++
		// RFC 7488 section 3: "If the PCP client has exhausted all IP addresses
		// configured for a given PCP server, the procedure SHOULD be repeated every
		// 15 minutes".
		if m.turns%m.rules.Servers == 0 {
			if m.phase == phaseHolding {
				return m.schedule(), Action{}
			}
			return m.pause(now.Add(timing.Pause)), Action{}
		}
	}
	m.tries++
	m.sent = now
	if m.phase == phaseHolding {
		return m.schedule(), Action{Send: true}
	}
	m.wait = timing.retransmission(m.wait, m.rules.Random())
	m.next = now.Add(m.wait)
	return m, Action{Send: true}
}

// schedule sets the time of the next renewal: not before RenewalGap has passed
// since the last request, and never if the mapping expires before that.
func (m Mapping) schedule() Mapping {
	m.next = m.expires
	if !m.rules.Renew {
		return m
	}
	at := m.granted.Add(scale(m.grant.Lifetime, renewal(m.renewals, m.rules.Random())))
	m.renewals++
	// RFC 6887 section 11.2.1: "renewal requests MUST NOT be sent less than four
	// seconds apart".
	if earliest := m.sent.Add(m.rules.Timing.RenewalGap); at.Before(earliest) {
		at = earliest
	}
	if at.Before(m.expires) {
		m.next = at
	}
	return m
}

func (m Mapping) answer(now time.Time, r *pcpmsg.Response) (Mapping, Action) {
	switch {
	case r.Result != pcpmsg.Success:
		return m.refused(now, r)
	case m.deletion:
		return m.deleted(r)
	case !m.rules.Want.accepts(&r.Mapping):
		return m, Action{}
	}
	m.tries, m.turns, m.err = 0, 0, nil
	lifetime := m.rules.Timing.lifetime(r.Lifetime)
	if lifetime == 0 {
		// The server took the mapping back. Asking at once could go on for ever.
		m.expires = time.Time{}
		return m.rest(now.Add(pcpmsg.NoResources.ErrorLifetime())), Action{Report: true}
	}
	m.grant = grantOf(&m.rules.Want, r, lifetime)
	m.granted, m.expires = now, now.Add(lifetime)
	m.phase, m.renewals, m.wait = phaseHolding, 0, 0
	return m.schedule(), Action{Report: true}
}

func (m Mapping) pause(until time.Time) Mapping {
	m.phase, m.next, m.wait = phasePausing, until, 0
	return m
}

// rest follows an answer that gave nothing.
func (m Mapping) rest(until time.Time) Mapping {
	if !m.rules.Renew && !m.deletion {
		return m.close()
	}
	return m.pause(until)
}

// deleted looks at a success while the mapping is being deleted.
func (m Mapping) deleted(r *pcpmsg.Response) (Mapping, Action) {
	// RFC 6887 section 15.1 has the suggested address of a deletion, zero, copied
	// into its answer. Anything else answers an earlier request.
	if r.Lifetime != 0 && !r.Mapping.External.IsUnspecified() {
		return m, Action{}
	}
	m.err = nil
	return m.close(), Action{Report: true}
}

// refused looks at an error.
func (m Mapping) refused(now time.Time, r *pcpmsg.Response) (Mapping, Action) {
	wait := m.rules.Timing.lifetime(r.Lifetime)
	if wait == 0 {
		wait = r.Result.ErrorLifetime()
	}
	m.tries, m.turns = 0, 0
	m.err = ResultError{Result: r.Result, Wait: wait}
	// Deleting again helps only against what passes soon.
	if m.deletion && r.Result.ErrorLifetime() > pcpmsg.NoResources.ErrorLifetime() {
		return m.close(), Action{Report: true}
	}
	// RFC 6887 section 8.3: the client "SHOULD NOT resend the same request for the
	// indicated lifetime of the error".
	return m.rest(now.Add(wait)), Action{Report: true}
}

func (m Mapping) otherVersion(now time.Time, err *pcpmsg.VersionError) (Mapping, Action) {
	m.tries, m.turns = 0, 0
	m.err = err
	// RFC 6887 section 9: "retry its request in 30 minutes or the returned
	// Lifetime value, whichever is smaller".
	wait := pcpmsg.UnsuppVersion.ErrorLifetime()
	if err.Lifetime > 0 {
		wait = min(wait, m.rules.Timing.lifetime(err.Lifetime))
	}
	return m.rest(now.Add(wait)), Action{Report: true}
}
