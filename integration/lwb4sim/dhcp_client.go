package lwb4sim

import (
	"errors"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// phase is what a client is about.
type phase uint8

const (
	beginning phase = iota // it knows nothing
	soliciting
	requesting
	bound
	renewing
	rebinding
	releasing
	done // it wants nothing any more
)

// message is what a client in the phase sends.
func (p phase) message() dhcpv6.MessageType {
	switch p {
	case soliciting:
		return dhcpv6.MessageTypeSolicit
	case requesting:
		return dhcpv6.MessageTypeRequest
	case renewing:
		return dhcpv6.MessageTypeRenew
	case rebinding:
		return dhcpv6.MessageTypeRebind
	case releasing:
		return dhcpv6.MessageTypeRelease
	}
	return dhcpv6.MessageTypeNone
}

// How often a message is sent at most (RFC 8415 section 7.6).
const (
	maxRequests = 10
	maxReleases = 4
)

// dhcpClient is the DHCPv6 client of one lwB4 (RFC 8415 section 18.2): one IA_PD
// and the option of RFC 7598. The fleet's mutex guards it.
type dhcpClient struct {
	fleet   *dhcpFleet
	index   int
	phase   phase
	holding Holding
	last    Holding // of those with a port set, also after it was forgotten

	// What it has or was offered.
	server                 dhcpv6.DUID
	prefix                 *dhcpv6.OptIAPrefix
	renew, rebind, expires time.Time

	// The message that waits for an answer.
	sent        *dhcpv6.Message
	times       int
	first, next time.Time     // when it was sent first, and is sent again
	timeout     time.Duration // between the last two
}

func (c *dhcpClient) wake() {
	now := c.fleet.now
	held := c.phase == bound || c.phase == renewing || c.phase == rebinding
	switch {
	case c.phase == beginning:
		c.enter(soliciting)
	case held && !now.Before(c.expires):
		c.fleet.counts.Lost++
		c.forget()
		c.enter(soliciting)
	case held && c.phase != rebinding && !now.Before(c.rebind):
		c.enter(rebinding)
	case c.phase == bound && !now.Before(c.renew):
		c.enter(renewing)
	case c.sent != nil && !now.Before(c.next):
		c.again()
	}
	c.alarm()
}

// alarm sets the next time at which there is something to do.
func (c *dhcpClient) alarm() {
	var at time.Time
	consider := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	switch c.phase {
	case done:
	case bound:
		consider(c.renew)
	case renewing:
		consider(c.rebind)
	case rebinding:
		consider(c.expires)
	}
	if c.sent != nil {
		consider(c.next)
	}
	c.fleet.alarm(c.index, at)
}

// enter begins an exchange.
func (c *dhcpClient) enter(p phase) {
	c.phase, c.times, c.first = p, 0, c.fleet.now
	c.timeout = c.fleet.config.Timing.Initial
	if p == renewing || p == rebinding {
		c.timeout = c.fleet.config.Timing.Renewal
	}
	c.sent = c.compose()
	c.transmit()
}

// compose is the message of the phase.
func (c *dhcpClient) compose() *dhcpv6.Message {
	p := &c.fleet.config.Population
	random := c.fleet.random.Uint32()
	m := &dhcpv6.Message{
		MessageType:   c.phase.message(),
		TransactionID: dhcpv6.TransactionID{byte(random >> 16), byte(random >> 8), byte(random)},
	}
	m.AddOption(dhcpv6.OptClientID(p.duid(c.index)))
	ia := &dhcpv6.OptIAPD{IaId: iaid}
	switch c.phase {
	case soliciting:
		if p.RapidCommit {
			m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
		}
	case requesting, renewing, releasing:
		m.AddOption(dhcpv6.OptServerID(c.server))
		fallthrough
	default:
		ia.Options.Add(&dhcpv6.OptIAPrefix{Prefix: c.prefix.Prefix})
	}
	m.AddOption(ia)
	if c.phase != releasing {
		m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionS46ContLW))
	}
	return m
}

// iaid is that of the one IA_PD.
var iaid = [4]byte{0, 0, 0, 1}

// transmit sends the message, and says when it is sent again (RFC 8415 section 15).
func (c *dhcpClient) transmit() {
	f := c.fleet
	c.sent.UpdateOption(dhcpv6.OptElapsedTime(f.now.Sub(c.first)))
	// What is composed here can be encapsulated.
	if packet, err := f.config.Population.packet(c.index, c.sent); err == nil {
		f.send(packet)
	}
	c.times++
	jitter := 0.2*f.random.Float64() - 0.1
	c.next = f.now.Add(c.timeout + time.Duration(jitter*float64(c.timeout)))
	c.timeout = min(2*c.timeout, f.config.Timing.Maximum)
}

// again sends the message once more, or gives up.
func (c *dhcpClient) again() {
	switch {
	case c.phase == requesting && c.times >= maxRequests:
		c.enter(soliciting)
	case c.phase == releasing && c.times >= maxReleases:
		c.phase, c.sent = done, nil
	default:
		c.transmit()
	}
}

// receive takes a message, or says that it did not wait for it.
func (c *dhcpClient) receive(m *dhcpv6.Message) bool {
	if c.sent == nil || m.TransactionID != c.sent.TransactionID || m.Options.ServerID() == nil ||
		m.Options.ClientID() == nil || !m.Options.ClientID().Equal(c.fleet.config.Population.duid(c.index)) {
		return false
	}
	switch {
	case c.phase == releasing && m.MessageType == dhcpv6.MessageTypeReply:
		c.phase, c.sent = done, nil
	case c.phase == soliciting && m.MessageType == dhcpv6.MessageTypeAdvertise:
		ia, prefix, err := delegated(m)
		if err != nil {
			c.refuse(err)
			break
		}
		c.take(m, ia, prefix)
		c.enter(requesting)
	case c.phase == soliciting && m.GetOneOption(dhcpv6.OptionRapidCommit) == nil, m.MessageType != dhcpv6.MessageTypeReply:
		return false
	default:
		c.reply(m)
	}
	c.alarm()
	return true
}

// reply takes what a Reply gives.
func (c *dhcpClient) reply(m *dhcpv6.Message) {
	ia, prefix, err := delegated(m)
	var status statusError
	switch {
	case errors.As(err, &status) && status == statusError(iana.StatusNoBinding) && c.phase != requesting:
		// RFC 8415 section 18.2.10.1: "The client sends a Request message to the
		// server that responded".
		c.fleet.counts.Resets++
		c.server = m.Options.ServerID()
		c.enter(requesting)
		return
	case err != nil:
		c.refuse(err)
		if c.phase == requesting {
			c.enter(soliciting)
		}
		return
	}
	c.take(m, ia, prefix)
	c.phase, c.sent = bound, nil
	h, err := provisioned(m, prefix)
	if h.Err = err; c.holding.Held && !h.Held {
		c.fleet.counts.Lost++
	}
	c.note(h)
}

// take remembers a prefix, and what there is to do about it.
func (c *dhcpClient) take(m *dhcpv6.Message, ia *dhcpv6.OptIAPD, prefix *dhcpv6.OptIAPrefix) {
	c.server, c.prefix = m.Options.ServerID(), prefix
	c.expires = c.fleet.now.Add(prefix.ValidLifetime)
	t1, t2 := ia.T1, ia.T2
	// RFC 8415 section 14.2: times that the server leaves to the client.
	if t1 == 0 {
		t1 = prefix.PreferredLifetime / 2
	}
	if t2 == 0 {
		t2 = prefix.PreferredLifetime * 4 / 5
	}
	c.renew, c.rebind = c.fleet.now.Add(t1), c.fleet.now.Add(t2)
}

// refuse notes that there was nothing in an answer.
func (c *dhcpClient) refuse(err error) {
	held := c.holding
	held.Err = err
	c.note(held)
}

// note notes a holding in the counts.
func (c *dhcpClient) note(h Holding) {
	n, was := &c.fleet.counts, c.holding
	n.Held += number(h.Held) - number(was.Held)
	n.Refused += number(h.Err != nil) - number(was.Err != nil)
	if c.holding = h; !h.Held {
		return
	}
	if c.last.Held && (h.Prefix != c.last.Prefix || h.IPv4 != c.last.IPv4 || h.PortSet != c.last.PortSet) {
		n.Moved++
	}
	c.last = h
}

func (c *dhcpClient) forget() {
	c.note(Holding{})
	*c = dhcpClient{fleet: c.fleet, index: c.index, last: c.last}
}

func (c *dhcpClient) release() error {
	if !c.holding.Prefix.IsValid() {
		c.phase, c.sent = done, nil
	} else {
		c.enter(releasing)
		// RFC 8415 section 18.2.7: it stops using it before it says so.
		c.note(Holding{})
	}
	c.alarm()
	return nil
}

func (c *dhcpClient) held() Holding { return c.holding }
