package api

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Paths of the API.
const (
	PathHealth    = "/v1/health"
	PathReady     = "/v1/ready"
	PathStatus    = "/v1/status"
	PathSoftwires = "/v1/softwires"
	PathCounters  = "/v1/counters"
	PathMetrics   = "/v1/metrics"
	PathPools     = "/v1/pools"
	PathTrace     = "/v1/trace"
	PathWho       = "/v1/who"
	PathHistory   = "/v1/history"
	PathReload    = "/v1/reload"
	PathResync    = "/v1/resync"
	PathPCPReset  = "/v1/pcp/reset"

	PathGoroutines = "/v1/goroutines"
	PathLog        = "/v1/log"

	PathLeases         = "/v1/leases"
	PathLeaseOffer     = "/v1/leases/offer"
	PathLeaseAcquire   = "/v1/leases/acquire"
	PathLeaseRenew     = "/v1/leases/renew"
	PathLeaseRelease   = "/v1/leases/release"
	PathLeaseRemove    = "/v1/leases/remove"
	PathLeaseMove      = "/v1/leases/move"
	PathLeaseReserve   = "/v1/leases/reserve"
	PathLeaseUnreserve = "/v1/leases/unreserve"
	PathLeaseStream    = "/v1/leases/stream"
	PathPoolAdd        = "/v1/pools/add"
	PathPoolRemove     = "/v1/pools/remove"
	PathPoolDrain      = "/v1/pools/drain"
	PathBackup         = "/v1/backup"

	PathBGP        = "/v1/bgp"
	PathBGPDrain   = "/v1/bgp/drain"
	PathBGPUndrain = "/v1/bgp/undrain"
	PathBGPRelease = "/v1/bgp/release"
)

// Limits of the API.
const (
	DefaultLimit = 1000    // items of a page if none is asked for
	MaxLimit     = 10_000  // items of a page
	MaxRequest   = 1 << 18 // bytes of a request's body
	MaxAnswer    = 1 << 24 // bytes of an answer's body
	MaxPacket    = 65_575  // bytes of a packet to trace: 40 and the largest payload
)

// LogRequest changes what is logged.
type LogRequest struct {
	Level string `json:"level"` // error, warning, info, debug or trace
}

// Health is an answer of 200: whoever wants only that need not read it.
type Health struct {
	Healthy bool `json:"healthy"`
}

// Status is how the router is.
type Status struct {
	Name      string    `json:"name"`
	Version   string    `json:"version,omitempty"`
	Started   time.Time `json:"started"`
	Ready     bool      `json:"ready"` // everything was programmed once
	Dataplane Dataplane `json:"dataplane"`
	Softwires Progress  `json:"softwires"`
	// Problems are in words, the worst first; none if all is well.
	Problems []string `json:"problems,omitempty"`
}

// Dataplane is how the data plane says it is.
type Dataplane struct {
	Name        string `json:"name"`
	State       string `json:"state"` // up, down or unknown
	Incarnation uint64 `json:"incarnation"`
	Reason      string `json:"reason,omitempty"` // why it is not up
	// VPP is there if that is the data plane and it answers.
	VPP *VPP `json:"vpp,omitempty"`
}

// Progress is how far the data plane has what it should have.
type Progress struct {
	Desired     int `json:"desired"`
	Programmed  int `json:"programmed"`
	Pending     int `json:"pending"`
	Unsupported int `json:"unsupported"`
	// LastSync is when the data plane was last seen to have everything.
	LastSync *time.Time `json:"last-sync,omitempty"`
}

// Softwire is one softwire.
type Softwire struct {
	IPv4       netip.Addr `json:"binding-ipv4-addr"`
	PSIDOffset uint8      `json:"psid-offset"`
	PSIDLen    uint8      `json:"psid-len"`
	PSID       uint16     `json:"psid"`
	B4         netip.Addr `json:"binding-ipv6info"` // always an address
	BR         netip.Addr `json:"br-ipv6-addr"`
	// Problem is why the data plane has not taken it.
	Problem string `json:"problem,omitempty"`
	// ToB4 and FromB4 are there if counters were asked for and the data plane
	// counts for single softwires, or for the IPv4 address with all that share it:
	// CountersOf is softwire or address then.
	ToB4       *Traffic `json:"to-b4,omitempty"`
	FromB4     *Traffic `json:"from-b4,omitempty"`
	CountersOf string   `json:"counters-of,omitempty"`
}

// FromSoftwire is s as the API shows it.
func FromSoftwire(s softwire.Softwire) Softwire {
	p := s.PortSet.Params()
	return Softwire{IPv4: s.IPv4, PSIDOffset: p.Offset(), PSIDLen: p.Length(), PSID: s.PortSet.PSID(), B4: s.B4, BR: s.BR}
}

// Softwire is s as the table has it. The error wraps those of package portset
// or softwire.
func (s Softwire) Softwire() (softwire.Softwire, error) {
	set, err := portset.Of(s.PSIDOffset, s.PSIDLen, s.PSID)
	if err != nil {
		return softwire.Softwire{}, fmt.Errorf("softwire on %s: %w", s.IPv4, err)
	}
	w := softwire.Softwire{IPv4: s.IPv4, PortSet: set, B4: s.B4, BR: s.BR}
	return w, w.Validate()
}

// SoftwirePage is a part of the table in its stable order.
type SoftwirePage struct {
	Softwires []Softwire `json:"softwires"`
	// Next is what to ask for with after to get the next page; empty at the
	// end. A table that changes in between gives neither gaps nor repetitions
	// of what stays.
	Next string `json:"next,omitempty"`
}

// Traffic counts packets and their bytes, measured on the IPv4 packet.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Counters are the data plane's totals.
type Counters struct {
	Granularity  string   `json:"granularity"` // softwire, address or none
	Encapsulated Traffic  `json:"encapsulated"`
	Decapsulated Traffic  `json:"decapsulated"`
	Hairpinned   Traffic  `json:"hairpinned"`
	Events       []Event  `json:"events"`
	Devices      []Device `json:"devices,omitempty"`
}

// Event is one counter by cause.
type Event struct {
	Name    string `json:"name"`
	Meaning string `json:"meaning,omitempty"`
	Drop    bool   `json:"drop"`
	Packets uint64 `json:"packets"`
}

// Device counts what a network device of the data plane received and sent.
type Device struct {
	Name     string  `json:"name"`
	Received Traffic `json:"received"`
	Sent     Traffic `json:"sent"`
	Drops    []Event `json:"drops,omitempty"`
}

// Pool is one pool of addresses and what is used of it.
type Pool struct {
	Name       string         `json:"name"`
	Prefixes   []netip.Prefix `json:"prefixes"`
	PSIDOffset uint8          `json:"psid-offset"`
	PSIDLen    uint8          `json:"psid-len"`
	BR         netip.Addr     `json:"br-ipv6-addr"`
	// Capacity is how many port sets the pool has, Softwires how many
	// softwires are on its addresses.
	Capacity  uint64 `json:"capacity"`
	Softwires int    `json:"softwires"`
	// Leases are there if the router lends port sets.
	Leases *PoolLeases `json:"leases,omitempty"`
}

// PoolLeases is how much of a pool is lent.
type PoolLeases struct {
	Mechanisms []string `json:"mechanisms"` // that may draw from it
	Draining   bool     `json:"draining,omitempty"`
	Lendable   int      `json:"lendable"` // port sets that may be lent
	Fresh      int      `json:"fresh"`    // of those, never used
	Bound      int      `json:"bound"`
	Leaving    int      `json:"leaving"`
	Resting    int      `json:"resting"`
	Reserved   int      `json:"reserved"` // whatever their state
}

// PoolRequest is a pool to add while the router runs, to remove, or to drain.
type PoolRequest struct {
	Name string `json:"name"`
	// The rest is for adding.
	Prefixes   []netip.Prefix `json:"prefixes,omitempty"`
	PSIDOffset uint8          `json:"psid-offset,omitempty"`
	PSIDLen    uint8          `json:"psid-len,omitempty"`
	BR         netip.Addr     `json:"br-ipv6-addr,omitzero"`
	Mechanisms []string       `json:"mechanisms,omitempty"`
	// Stop ends a drain.
	Stop bool `json:"stop,omitempty"`
}

// TraceRequest asks what would happen to a packet.
type TraceRequest struct {
	Side   string `json:"side"`   // where it comes from: ipv4 or ipv6
	Packet []byte `json:"packet"` // from the outer IP header on; base64
}

// Trace is what would happen to a packet, and why.
type Trace struct {
	Steps []string `json:"steps"`
	Sent  []Packet `json:"sent"`
}

// Packet is one packet that would be sent.
type Packet struct {
	Side   string `json:"side"`
	Packet []byte `json:"packet"`
}

// ReloadResult is what a reload changed.
type ReloadResult struct {
	Put     int `json:"put"`     // softwires added or changed
	Removed int `json:"removed"` // softwires
	// Settings are the changed elements of the configuration besides.
	Settings []string `json:"settings,omitempty"`
}

// Error is why a request failed.
type Error struct {
	// Status is the HTTP status.
	Status  int    `json:"-"`
	Message string `json:"message"`
	// Code tells programs what is wrong, where they can do something about it;
	// see the Code constants.
	Code Code `json:"code,omitempty"`
	// Details are single problems, such as the lines of a bad configuration.
	Details []string `json:"details,omitempty"`
}

// Code is why a request about leases or announcements failed. It is an error, for errors.Is with
// an *Error.
type Code string

// The codes.
const (
	CodeExhausted     Code = "exhausted"      // no port set is left
	CodeQuota         Code = "quota"          // the subscriber has as many as it may have
	CodeMechanism     Code = "mechanism"      // not of this pool, or not of this subscriber
	CodeTaken         Code = "taken"          // the port set or route is somebody else's, too
	CodeUnknown       Code = "unknown"        // no such lease or pool
	CodeInvalid       Code = "invalid"        // not a possible request
	CodeNotProgrammed Code = "not-programmed" // durable, not in the data plane yet: ask again
	CodeStorage       Code = "storage"        // cannot be made durable now
)

// Error is the code.
func (c Code) Error() string { return string(c) }

// Is reports whether target is e's Code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Error is the message.
func (e *Error) Error() string { return e.Message }
