package feed

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Order is what the router tells a speaker. Exactly one of its members is set.
type Order struct {
	Session *Session `json:",omitempty"` // the first order, and only the first
	Routes  *Routes  `json:",omitempty"`
}

// Session is the peer that a speaker is for, and what is said to it.
type Session struct {
	RouterID netip.Addr // an IPv4 address
	AS       uint32
	Peer     netip.Addr
	PeerAS   uint32
	Port     uint16     // of the peer
	Source   netip.Addr // invalid: the kernel chooses
	Passive  bool       // listens on Source instead of connecting
	Password string     // of TCP MD5 (RFC 2385), or none
	// MinTTL is what packets of the peer have at least (GTSM, RFC 5082), or 0.
	MinTTL uint8
	// Multihop is the TTL of packets to an eBGP peer that is not a neighbour, or 0.
	Multihop uint8
	// In seconds.
	HoldTime     uint16
	ConnectRetry uint16
	IPv4         bool // the address families of the session
	IPv6         bool
	PrefixLimit  uint32 // of routes of one family that the peer may send
	// GracefulRestart is for how many seconds the peer keeps routes when the
	// session ends without a word (RFC 4724), or 0.
	GracefulRestart uint16
	// Restarting: the peer may have routes of an earlier speaker, and packets
	// were forwarded all along. Only with GracefulRestart.
	Restarting bool
}

// Routes is the whole set of routes that the peer is to have.
type Routes struct {
	Routes []Route
}

// Route is one route with its attributes.
type Route struct {
	Prefix    netip.Prefix // masked
	NextHop   netip.Addr   // invalid: the session's source address
	LocalPref *uint32      `json:",omitempty"`
	MED       *uint32      `json:",omitempty"`
	// Prepend is how many times the own AS stands in front once more.
	Prepend     uint8       `json:",omitempty"`
	Communities []uint32    `json:",omitempty"`
	Large       [][3]uint32 `json:",omitempty"` // RFC 8092
}

// ExtendedNextHop says whether r takes a peer that understands IPv6 next hops of
// IPv4 routes (RFC 8950).
func (r Route) ExtendedNextHop(peer netip.Addr) bool {
	hop := r.NextHop
	if !hop.IsValid() {
		hop = peer
	}
	return r.Prefix.Addr().Is4() && hop.Is6()
}

// Report is what a speaker tells the router. At most one of its members is set;
// none is a sign of life.
type Report struct {
	Status *Status `json:",omitempty"`
	Log    *Log    `json:",omitempty"`
}

// Status is how a speaker's session is.
type Status struct {
	State string // of RFC 4271 section 8.2.2, in small letters
	// Ended is how many sessions of this speaker have come up and ended.
	Ended uint32
	// ExtendedNextHop: the peer understands IPv6 next hops of IPv4 routes.
	ExtendedNextHop bool
	Announced       []netip.Prefix // what the peer has been sent
	// Withheld is what the peer is not sent, since it does not understand its next
	// hop.
	Withheld []netip.Prefix
	// Error is the last thing that went wrong, and ErrorTime when.
	Error     string
	ErrorTime time.Time
}

// Established is the State of a session that routes are exchanged in.
const Established = "established"

// Log is one line of a speaker's log.
type Log struct {
	Level   string // as package logrus writes it
	Message string
	Fields  map[string]string
}

// A speaker reports every Beat at least. The router takes one that has been
// silent for Silence for broken.
const (
	Beat    = time.Second
	Silence = 10 * time.Second
)

// MaxRoutes is how many routes one Routes may have.
const MaxRoutes = 8192

// Bounds of texts and numbers that a speaker reports.
const (
	maxText   = 4096
	maxFields = 32
)

// errMessage is a frame whose JSON is not a message.
var errMessage = errors.New("not a message")

func (o *Order) check() error {
	switch {
	case (o.Session == nil) == (o.Routes == nil):
		return fmt.Errorf("%w: an order is a session or routes", errMessage)
	case o.Routes != nil:
		return o.Routes.check()
	case !o.Session.RouterID.Is4() || !o.Session.Peer.IsValid():
		return fmt.Errorf("%w: a session without router ID or peer", errMessage)
	}
	return nil
}

func (r *Routes) check() error {
	if len(r.Routes) > MaxRoutes {
		return fmt.Errorf("%w: %d routes", errMessage, len(r.Routes))
	}
	for _, route := range r.Routes {
		if !route.Prefix.IsValid() || route.Prefix != route.Prefix.Masked() {
			return fmt.Errorf("%w: a route to %s", errMessage, route.Prefix)
		}
	}
	return nil
}

func (r *Report) check() error {
	switch {
	case r.Status != nil && r.Log != nil:
		return fmt.Errorf("%w: a report of two things", errMessage)
	case r.Status != nil:
		s := r.Status
		if len(s.State)+len(s.Error) > maxText || len(s.Announced)+len(s.Withheld) > MaxRoutes {
			return fmt.Errorf("%w: a status that is too long", errMessage)
		}
	case r.Log != nil:
		size := len(r.Log.Level) + len(r.Log.Message)
		for key, value := range r.Log.Fields {
			size += len(key) + len(value)
		}
		if len(r.Log.Fields) > maxFields || size > maxText {
			return fmt.Errorf("%w: a line of the log that is too long", errMessage)
		}
	}
	return nil
}
