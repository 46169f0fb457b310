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

// update takes over what a speaker reports; before is how many sessions had ended
// when it started.
func (s *PeerStats) update(r feed.Status, before uint64, now time.Time) {
	s.change(r.State, before+uint64(r.Ended), now)
	s.Announced, s.Withheld, s.ExtendedNextHop = r.Announced, r.Withheld, r.ExtendedNextHop
	if r.Error != "" {
		s.Error, s.ErrorTime = r.Error, r.ErrorTime
	}
}

// change says what State is and how many sessions have ended. Between two
// reports a session may have come and gone.
func (s *PeerStats) change(state string, ended uint64, now time.Time) {
	if state != s.State || ended != s.Flaps {
		s.State, s.Since = state, now
	}
	s.Flaps, s.Sessions = ended, ended
	if s.Established() {
		s.Sessions++
	}
}

// end is the end of a speaker, and with it of the session.
func (s *PeerStats) end(err error, now time.Time) {
	s.change(down, s.Sessions, now)
	s.PID, s.Announced, s.Withheld, s.ExtendedNextHop = 0, nil, nil, false
	if err != nil {
		s.Error, s.ErrorTime = err.Error(), now
	}
}
