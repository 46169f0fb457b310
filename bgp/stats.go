package bgp

import (
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// PeerStats is how a session and its speaker are.
type PeerStats struct {
	Name    string
	Address netip.Addr
	AS      uint32
	// State is that of RFC 4271 section 8.2.2 in small letters, or "down" while
	// there is no speaker.
	State string
	// Since is when State began.
	Since time.Time
	// Sessions counts how often the session came up, and Flaps how often it ended.
	Sessions, Flaps uint64
	// PID is the speaker's, or 0; Starts counts speakers.
	PID    int
	Starts uint64
	// Announced is what the peer has, IPv4 first, in order.
	Announced []netip.Prefix
	// Withheld is what the peer does not get since it does not understand its next
	// hop (RFC 8950).
	Withheld []netip.Prefix
	// ExtendedNextHop: the peer understands IPv6 next hops of IPv4 routes.
	ExtendedNextHop bool
	// Error is the last thing that went wrong, and ErrorTime when.
	Error     string
	ErrorTime time.Time
}

// Established says whether the peer is told of routes.
func (s PeerStats) Established() bool { return s.State == feed.Established }

// down is the State of a session without a speaker.
const down = "down"

// update takes over what a speaker reports.
func (s *PeerStats) update(r feed.Status, now time.Time) {
	s.change(r.State, now)
	s.Announced, s.Withheld, s.ExtendedNextHop = r.Announced, r.Withheld, r.ExtendedNextHop
	if r.Error != "" {
		s.Error, s.ErrorTime = r.Error, r.ErrorTime
	}
}

// change is a change of State, if it is one.
func (s *PeerStats) change(state string, now time.Time) {
	if state == s.State {
		return
	}
	switch feed.Established {
	case state:
		s.Sessions++
	case s.State:
		s.Flaps++
	}
	s.State, s.Since = state, now
}

// end is the end of a speaker.
func (s *PeerStats) end(err error, now time.Time) {
	s.change(down, now)
	s.PID, s.Announced, s.Withheld, s.ExtendedNextHop = 0, nil, nil, false
	if err != nil {
		s.Error, s.ErrorTime = err.Error(), now
	}
}
