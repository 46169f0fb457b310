package client

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Rules are what stays the same for a mapping.
type Rules struct {
	Want    Want
	Servers int // addresses of the server, at least 1
	Timing  Timing
	// Renew keeps the mapping: it is renewed, and asked for again when it is lost
	// or refused. Otherwise nothing is asked after the first answer.
	Renew bool
	// Random returns numbers from 0 (inclusive) to 1.
	Random func() float64
}

// Mapping is one mapping at one server. The zero value has no rules: see
// NewMapping. It is a value: Step returns the next one and leaves this one as
// it was.
type Mapping struct {
	rules *Rules
	phase phase
	// deletion says that requests are to delete the mapping.
	deletion bool
	server   int           // index of the address that is asked
	tries    int           // requests to it since its last answer
	turns    int           // addresses that did not answer, one after the other
	wait     time.Duration // RT of RFC 6887 section 8.1.1; 0 before the first request
	renewals int           // that were due since the grant
	next     time.Time     // when the phase has something to do
	sent     time.Time     // when the last request was
	grant    Grant         // zero if there never was one
	granted  time.Time
	expires  time.Time // zero if there is no grant now
	err      error     // of the last answer
}

type phase uint8

const (
	phaseIdle    phase = iota
	phaseAsking        // a request is sent again and again until it is answered
	phaseHolding       // the mapping is there, and renewed from time to time
	phasePausing       // nothing is sent before next
	phaseClosed        // deleted, or not wanted any more: nothing is sent ever
)

// NewMapping returns a mapping that was not asked for yet: it asks at its first
// Tick, through the address with the index server.
func NewMapping(rules *Rules, server int) Mapping { return Mapping{rules: rules, server: server} }

// Event is what happens to a mapping.
type Event interface{ event() }

// The events.
type (
	// Tick is that the time of Next has come. NotBefore, if it is set, is when the
	// server may be asked.
	Tick struct{ NotBefore time.Time }
	// Answer is a response that came from the address with the index Server.
	Answer struct {
		Server   int
		Response *pcpmsg.Response
	}
	// OtherVersion is that the server at that address does not speak PCP 2.
	OtherVersion struct {
		Server int
		Err    *pcpmsg.VersionError
	}
	// Unreachable is that a request to that address cannot arrive, says the
	// network.
	Unreachable struct{ Server int }
	// StateLost is that the server at that address may have lost its mappings.
	StateLost struct{ Server int }
	// Release is that the mapping is to be deleted. NotBefore is that of Tick.
	Release struct{ NotBefore time.Time }
)

func (Tick) event()         {}
func (Answer) event()       {}
func (OtherVersion) event() {}
func (Unreachable) event()  {}
func (StateLost) event()    {}
func (Release) event()      {}

// Action is what a step asks of its caller.
type Action struct {
	Send   bool // AppendRequest to the address Server
	Report bool // Status has changed, or was confirmed
}

// ResultError is an answer other than success.
type ResultError struct {
	Result pcpmsg.ResultCode
	// Wait is how long the server expects to answer the same.
	Wait time.Duration
}

// Error names the result.
func (e ResultError) Error() string {
	return fmt.Sprintf("the PCP server answers %s, for %s", e.Result, e.Wait)
}

// Status is what a user may know of a mapping.
type Status struct {
	Held    bool      // the mapping is there, as far as the client knows
	Grant   Grant     // valid while it is held, the last one after that
	Expires time.Time // if it is held
	Closed  bool      // nothing more will happen: it was deleted, or the server refused that
	// Err is why the last answer was no success: a ResultError or a
	// *pcpmsg.VersionError. The mapping may still be held.
	Err error
}

// Status returns what is known now.
func (m Mapping) Status() Status {
	return Status{Held: m.held(), Grant: m.grant, Expires: m.expires, Closed: m.phase == phaseClosed, Err: m.err}
}

func (m Mapping) held() bool { return !m.expires.IsZero() }

// Server is the index of the address that is asked.
func (m Mapping) Server() int { return m.server }

// Next is when to step with Tick. It is zero for never.
func (m Mapping) Next() time.Time {
	if m.phase != phaseClosed && m.held() && m.expires.Before(m.next) {
		return m.expires
	}
	return m.next
}

// AppendRequest appends the request that Action asks to send, from the address
// client.
func (m Mapping) AppendRequest(b []byte, client netip.Addr) []byte {
	suggested := m.rules.Want.Suggested
	// RFC 6887 section 11.2.1: the currently assigned address and port "SHOULD"
	// be suggested, "so if the PCP server has lost state it can recreate the lost
	// mapping".
	if m.grant.Ports > 0 && !m.rules.Want.OnlySuggested {
		suggested = netip.AddrPortFrom(m.grant.External, m.grant.ExternalPort)
	}
	return m.rules.Want.append(b, client, suggested, m.deletion)
}
