package client

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// SetConfig says how a Set talks to its server and its user. The functions are
// called by the Set's methods and must not call them.
type SetConfig struct {
	// Servers are the addresses of one server, in order of preference.
	Servers []netip.AddrPort
	// Client is the address that requests are sent from.
	Client netip.Addr
	Timing Timing
	// Random returns numbers from 0 (inclusive) to 1.
	Random func() float64
	// Send sends a request. The callee does not keep it.
	Send func(to netip.AddrPort, request []byte)
	// Report says that a mapping's status has changed, or was confirmed.
	Report func(pcpmsg.Nonce, Status)
	// StateLost, if it is set, says that a server may have lost its mappings. The
	// set asks again for those that it keeps.
	StateLost func(server netip.AddrPort)
	// Announced, if it is set, tells of each ANNOUNCE of a server.
	Announced func(server netip.AddrPort, epoch uint32)
}

// Set is the mappings at one server, by nonce. It has no goroutine: its owner
// calls Wake at the time of Next, and Receive with what the network brings.
type Set struct {
	config    SetConfig
	preferred int // address that answered last
	servers   []server
	mappings  map[pcpmsg.Nonce]*entry
	queue     queue
	scratch   []byte
}

// server is what is known of one address of the server.
type server struct {
	epoch Epoch
	// RFC 6887 section 11.4: after NO_RESOURCES no new mapping is asked for, and
	// if that was the answer to a deletion nothing is, before:
	notNewBefore, notBefore time.Time
}

// The errors of a Set.
var (
	ErrServers    = errors.New("a PCP server needs at least one address, and each a port")
	ErrNonceInUse = errors.New("the nonce is in use for another mapping")
)

// NewSet returns an empty set. The error wraps ErrServers or ErrTiming.
func NewSet(config SetConfig) (*Set, error) {
	if len(config.Servers) == 0 {
		return nil, ErrServers
	}
	for _, s := range config.Servers {
		if !s.Addr().IsValid() || s.Addr().IsMulticast() || s.Addr().IsUnspecified() || s.Port() == 0 {
			return nil, fmt.Errorf("%s: %w", s, ErrServers)
		}
	}
	if err := config.Timing.Validate(); err != nil {
		return nil, err
	}
	return &Set{
		config:   config,
		servers:  make([]server, len(config.Servers)),
		mappings: make(map[pcpmsg.Nonce]*entry),
	}, nil
}

// Add asks for a mapping, and keeps it if renew says so. The error wraps ErrWant
// or ErrNonceInUse.
func (s *Set) Add(now time.Time, want Want, renew bool) error {
	e, err := s.add(want, renew)
	if err == nil {
		s.step(now, e, Tick{NotBefore: s.notBefore(e.mapping)})
	}
	return err
}

// Delete asks for the deletion of a mapping, whether it is in the set or not,
// and then has it there until it is closed. The error wraps ErrWant.
func (s *Set) Delete(now time.Time, want Want) error {
	e, ok := s.mappings[want.Nonce]
	if !ok {
		var err error
		if e, err = s.add(want, false); err != nil {
			return err
		}
	}
	s.step(now, e, Release{NotBefore: s.servers[e.mapping.server].notBefore})
	return nil
}

func (s *Set) add(want Want, renew bool) (*entry, error) {
	if err := want.Validate(); err != nil {
		return nil, err
	}
	if _, ok := s.mappings[want.Nonce]; ok {
		return nil, fmt.Errorf("%w: %s", ErrNonceInUse, want.Nonce)
	}
	rules := &Rules{Want: want, Servers: len(s.servers), Timing: s.config.Timing, Renew: renew, Random: s.config.Random}
	e := &entry{mapping: NewMapping(rules, s.preferred), at: -1}
	s.mappings[want.Nonce] = e
	return e, nil
}

// Forget drops a mapping. The server is told nothing.
func (s *Set) Forget(nonce pcpmsg.Nonce) {
	if e, ok := s.mappings[nonce]; ok {
		delete(s.mappings, nonce)
		s.queue.set(e, time.Time{})
	}
}

// Announce asks an address of the server for its epoch, once.
func (s *Set) Announce(server int) {
	request := pcpmsg.Request{Opcode: pcpmsg.Announce, Client: s.config.Client}
	s.scratch = request.Append(s.scratch[:0])
	s.config.Send(s.config.Servers[server], s.scratch)
}

// Next is when to call Wake. It is zero for never.
func (s *Set) Next() time.Time {
	if len(s.queue) == 0 {
		return time.Time{}
	}
	return s.queue[0].due
}

// Wake does what is due.
func (s *Set) Wake(now time.Time) {
	for len(s.queue) > 0 && !now.Before(s.queue[0].due) {
		e := s.queue[0]
		s.step(now, e, Tick{NotBefore: s.notBefore(e.mapping)})
	}
}

// notBefore is when the server of m may be asked on its behalf.
func (s *Set) notBefore(m Mapping) time.Time {
	server := &s.servers[m.server]
	if !m.held() && !m.deletion && server.notNewBefore.After(server.notBefore) {
		return server.notNewBefore
	}
	return server.notBefore
}

// Receive looks at a UDP payload that came from an address. The error, which
// wraps pcpmsg.ErrDrop or is a *pcpmsg.VersionError, is for counters and logs:
// it was dealt with.
func (s *Set) Receive(now time.Time, from netip.AddrPort, payload []byte) error {
	// RFC 6887 section 8.3: the client "verifies that the source IP address and
	// port belong to the PCP server of a previously sent PCP request. If not, the
	// response is silently dropped."
	at := s.index(from)
	if at < 0 {
		return errStranger
	}
	r, err := pcpmsg.ParseResponse(payload)
	var version *pcpmsg.VersionError
	switch {
	case errors.As(err, &version):
		s.all(now, OtherVersion{Server: at, Err: version})
		return err
	case err != nil:
		return err
	// RFC 6887 section 14.1.3: announcements have the result SUCCESS.
	case r.Opcode == pcpmsg.Announce && r.Result == pcpmsg.Success:
		s.observe(now, at, r.Epoch, nil)
		if s.config.Announced != nil {
			s.config.Announced(from, r.Epoch)
		}
		return nil
	}
	e, ok := s.mappings[r.Mapping.Nonce]
	if !ok || !e.mapping.rules.Want.Matches(&r) {
		return errUnexpected
	}
	if e.mapping.server == at {
		s.preferred = at
	}
	if r.Result == pcpmsg.NoResources {
		s.congested(now, at, &r, e.mapping.deletion)
	}
	s.step(now, e, Answer{Server: at, Response: &r})
	s.observe(now, at, r.Epoch, e)
	return nil
}

var (
	errStranger   = fmt.Errorf("not from the PCP server: %w", pcpmsg.ErrDrop)
	errUnexpected = fmt.Errorf("an answer to no request: %w", pcpmsg.ErrDrop)
)

func (s *Set) congested(now time.Time, at int, r *pcpmsg.Response, deletion bool) {
	until := now.Add(s.config.Timing.lifetime(r.Lifetime))
	if deletion {
		s.servers[at].notBefore = until
	}
	s.servers[at].notNewBefore = until
}

// observe takes note of a server's epoch, and if it is not plausible asks again
// for all mappings of that server but the one that was just answered.
func (s *Set) observe(now time.Time, at int, epoch uint32, answered *entry) {
	next, plausible := s.servers[at].epoch.Observe(now, epoch)
	s.servers[at].epoch = next
	if plausible {
		return
	}
	for _, e := range s.mappings {
		if e != answered {
			s.step(now, e, StateLost{Server: at})
		}
	}
	if s.config.StateLost != nil {
		s.config.StateLost(s.config.Servers[at])
	}
}

// Unreachable says that the network reports that nothing arrives at an address.
func (s *Set) Unreachable(now time.Time, address netip.AddrPort) {
	if at := s.index(address); at >= 0 {
		s.all(now, Unreachable{Server: at})
	}
}

func (s *Set) index(address netip.AddrPort) int {
	for i, server := range s.config.Servers {
		if server == address {
			return i
		}
	}
	return -1
}

func (s *Set) all(now time.Time, event Event) {
	for _, e := range s.mappings {
		s.step(now, e, event)
	}
}

// step steps one mapping and does what it asks for.
func (s *Set) step(now time.Time, e *entry, event Event) {
	var action Action
	e.mapping, action = e.mapping.Step(now, event)
	s.queue.set(e, e.mapping.Next())
	if e.mapping.phase == phaseClosed {
		delete(s.mappings, e.mapping.rules.Want.Nonce)
	}
	if action.Report {
		s.config.Report(e.mapping.rules.Want.Nonce, e.mapping.Status())
	}
	if action.Send {
		s.scratch = e.mapping.AppendRequest(s.scratch[:0], s.config.Client)
		s.config.Send(s.config.Servers[e.mapping.server], s.scratch)
	}
}
