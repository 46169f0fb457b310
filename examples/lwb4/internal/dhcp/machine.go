package dhcp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// phase is what the client is about.
type phase uint8

const (
	soliciting phase = iota
	requesting
	bound
	renewing
	rebinding
	releasing
)

// retransmission is how a message is sent again (RFC 8415 section 7.6).
type retransmission struct {
	message  dhcpv6.MessageType
	initial  time.Duration // IRT
	maximum  time.Duration // MRT
	attempts int           // MRC; 0 is without end
}

var retransmissions = map[phase]retransmission{
	soliciting: {dhcpv6.MessageTypeSolicit, time.Second, time.Hour, 0},
	requesting: {dhcpv6.MessageTypeRequest, time.Second, 30 * time.Second, 10},
	renewing:   {dhcpv6.MessageTypeRenew, 10 * time.Second, 10 * time.Minute, 0},
	rebinding:  {dhcpv6.MessageTypeRebind, 10 * time.Second, 10 * time.Minute, 0},
	releasing:  {dhcpv6.MessageTypeRelease, time.Second, time.Second, 2},
}

// machine is the state of a client. Its owner calls wake at the time of next, and
// receive with what comes.
type machine struct {
	duid    dhcpv6.DUID
	iaid    [4]byte
	random  func() float64
	maxWait time.Duration // SOL_MAX_RT

	phase  phase
	lease  Lease
	server dhcpv6.DUID

	// The exchange that goes on.
	transaction dhcpv6.TransactionID
	begun       time.Time // zero before the first message
	sent        int
	wait        time.Duration
	due         time.Time
	advertised  *dhcpv6.Message // the best one yet

	renewAt, rebindAt time.Time
	released          bool
	odd               error // what was wrong with the options of the last answer
}

func newMachine(duid dhcpv6.DUID, iaid [4]byte, now time.Time, random func() float64) *machine {
	m := &machine{duid: duid, iaid: iaid, random: random, maxWait: retransmissions[soliciting].maximum}
	m.enter(soliciting, now)
	// RFC 8415 section 18.2.1: the first Solicit waits up to SOL_MAX_DELAY, 1 s.
	m.due = now.Add(time.Duration(random() * float64(time.Second)))
	return m
}

// enter begins an exchange.
func (m *machine) enter(p phase, now time.Time) {
	m.phase, m.begun, m.sent, m.wait, m.due, m.advertised = p, time.Time{}, 0, 0, now, nil
	n := rand.Uint32()
	m.transaction = dhcpv6.TransactionID{byte(n >> 16), byte(n >> 8), byte(n)}
}

// next is when to call wake.
func (m *machine) next() time.Time {
	at := m.due
	switch m.phase {
	case bound:
		at = m.renewAt
	case renewing:
		at = earliest(at, m.rebindAt)
	case rebinding:
		at = earliest(at, m.lease.Until)
	}
	return at
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// wake does what is due: it returns a message to send, or nil.
func (m *machine) wake(now time.Time) *dhcpv6.Message {
	due := func(t time.Time) bool { return !now.Before(t) }
	switch {
	case !m.lease.none() && due(m.lease.Until):
		m.lose(now)
	case m.phase == bound && due(m.renewAt):
		m.enter(renewing, now)
	case m.phase == renewing && due(m.rebindAt):
		m.enter(rebinding, now)
	}
	if m.phase == bound || m.released || !due(m.due) {
		return nil
	}
	r := retransmissions[m.phase]
	if m.phase == soliciting {
		r.maximum = m.maxWait
		if m.advertised != nil {
			m.request(now, m.advertised)
			r = retransmissions[requesting]
		}
	}
	if r.attempts > 0 && m.sent >= r.attempts {
		if m.phase == releasing {
			m.released = true
			return nil
		}
		m.enter(soliciting, now)
		r = retransmissions[soliciting]
	}
	return m.send(now, r)
}

// send makes the next message of the exchange.
func (m *machine) send(now time.Time, r retransmission) *dhcpv6.Message {
	if m.begun.IsZero() {
		m.begun = now
	}
	// RFC 8415 section 15: RT = IRT + RAND*IRT, then 2*RTprev + RAND*RTprev, and
	// around MRT at most, with RAND from -0.1 to 0.1. The first of a Solicit is not
	// less than IRT (section 18.2.1).
	spread := 0.2*m.random() - 0.1
	switch {
	case m.wait == 0 && m.phase == soliciting:
		m.wait = scaled(r.initial, 1+(spread+0.1)/2)
	case m.wait == 0:
		m.wait = scaled(r.initial, 1+spread)
	default:
		m.wait = scaled(m.wait, 2+spread)
	}
	if m.wait > r.maximum {
		m.wait = scaled(r.maximum, 1+spread)
	}
	m.sent++
	m.due = now.Add(m.wait)
	return m.compose(now, r.message)
}

func scaled(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

func (m *machine) compose(now time.Time, kind dhcpv6.MessageType) *dhcpv6.Message {
	out := &dhcpv6.Message{MessageType: kind, TransactionID: m.transaction}
	out.AddOption(dhcpv6.OptClientID(m.duid))
	out.AddOption(dhcpv6.OptElapsedTime(min(now.Sub(m.begun), 0xffff*10*time.Millisecond)))
	if kind == dhcpv6.MessageTypeRequest || kind == dhcpv6.MessageTypeRenew || kind == dhcpv6.MessageTypeRelease {
		out.AddOption(dhcpv6.OptServerID(m.server))
	}
	ia := &dhcpv6.OptIAPD{IaId: m.iaid}
	if prefix := m.wanted(); prefix != nil {
		ia.Options.Add(prefix)
	}
	out.AddOption(ia)
	if kind != dhcpv6.MessageTypeRelease {
		// RFC 7598 section 8: in each of these messages.
		out.AddOption(dhcpv6.OptRequestedOption(requested()...))
	}
	return out
}

// wanted is the prefix that the client has, or was offered, nil if there is none.
func (m *machine) wanted() *dhcpv6.OptIAPrefix {
	p := m.lease.Prefix
	if m.phase == requesting && m.advertised != nil {
		if g, _, err := read(m.advertised, m.iaid, m.lease); err == nil {
			p = g.Prefix
		}
	}
	if !p.IsValid() {
		return nil
	}
	return &dhcpv6.OptIAPrefix{Prefix: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 128)}}
}

// request turns to the server of an Advertise.
func (m *machine) request(now time.Time, advertise *dhcpv6.Message) {
	m.enter(requesting, now)
	m.advertised, m.server = advertise, advertise.Options.ServerID()
}

// lose is the end of the lease.
func (m *machine) lose(now time.Time) {
	m.lease = Lease{}
	if m.phase != releasing {
		m.enter(soliciting, now)
	}
}

// renew asks the server at once, if there is something to be renewed.
func (m *machine) renew(now time.Time) {
	if m.phase == bound {
		m.enter(renewing, now)
	}
}

// release gives the lease back. It returns false if there is none.
func (m *machine) release(now time.Time) bool {
	if m.lease.none() || m.server == nil {
		return false
	}
	m.enter(releasing, now)
	return true
}

// receive takes a message. The error says why it is of no use.
func (m *machine) receive(now time.Time, in *dhcpv6.Message) error {
	// RFC 8415 sections 16.3 and 16.10.
	if in.TransactionID != m.transaction || m.sent == 0 || in.Options.ServerID() == nil ||
		in.Options.ClientID() == nil || !in.Options.ClientID().Equal(m.duid) {
		return ErrStranger
	}
	m.learnMaxWait(in)
	switch in.MessageType {
	case dhcpv6.MessageTypeAdvertise:
		if m.phase == soliciting {
			return m.advertise(now, in)
		}
	case dhcpv6.MessageTypeReply:
		switch m.phase {
		case requesting, renewing, rebinding:
			return m.reply(now, in)
		case releasing:
			m.released = true
			return nil
		}
	}
	return ErrStranger
}

// learnMaxWait follows SOL_MAX_RT (RFC 8415 section 21.24).
func (m *machine) learnMaxWait(in *dhcpv6.Message) {
	o := in.GetOneOption(dhcpv6.OptionSolMaxRT)
	if o == nil {
		return
	}
	if b := o.ToBytes(); len(b) == 4 {
		if wait := time.Duration(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3])) * time.Second; wait >= time.Minute && wait <= 24*time.Hour {
			m.maxWait = wait
		}
	}
}

// bestPreference ends the search for a better server (RFC 8415 section 18.2.1).
const bestPreference = 255

// advertise keeps the best of what is offered until the first wait is over, and takes
// whatever comes after that.
func (m *machine) advertise(now time.Time, in *dhcpv6.Message) error {
	if _, _, err := read(in, m.iaid, m.lease); err != nil {
		return err
	}
	if m.advertised == nil || in.Options.Preference() > m.advertised.Options.Preference() {
		m.advertised = in
	}
	if m.sent > 1 || in.Options.Preference() == bestPreference {
		m.due = now
	}
	return nil
}

// reply takes or loses the lease.
func (m *machine) reply(now time.Time, in *dhcpv6.Message) error {
	g, odd, err := read(in, m.iaid, m.lease)
	if err != nil {
		return m.refused(now, in, err)
	}
	m.odd = odd
	m.lease = g.Lease
	m.lease.Until = now.Add(g.valid)
	m.renewAt, m.rebindAt = now.Add(g.t1), now.Add(g.t2)
	m.server = in.Options.ServerID()
	m.enter(bound, now)
	return nil
}

// refused looks at a Reply that gives nothing.
func (m *machine) refused(now time.Time, in *dhcpv6.Message, err error) error {
	switch {
	// RFC 8415 section 18.2.10.1: a server that does not know the binding is sent a
	// Request.
	case hasStatus(in, iana.StatusNoBinding) && m.phase != requesting:
		m.server = in.Options.ServerID()
		m.enter(requesting, now)
	case errors.Is(err, ErrStatus) && m.phase == requesting, errors.Is(err, ErrNoPrefix) && m.phase == requesting:
		m.enter(soliciting, now)
		m.wait = retransmissions[soliciting].initial // so that nobody is asked without end
		m.due = now.Add(m.wait)
	}
	return fmt.Errorf("%s: %w", in.MessageType, err)
}

func hasStatus(in *dhcpv6.Message, code iana.StatusCode) bool {
	is := func(s *dhcpv6.OptStatusCode) bool { return s != nil && s.StatusCode == code }
	if is(in.Options.Status()) {
		return true
	}
	for _, ia := range in.Options.IAPD() {
		if is(ia.Options.Status()) {
			return true
		}
	}
	return false
}
