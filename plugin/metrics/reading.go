package metrics

import (
	"time"

	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// Reading is how a router is at one moment. What is nil is not there, or could not
// be read.
type Reading struct {
	Version string
	Ready   bool
	Started time.Time // zero: it does not run, and then nothing else counts

	Softwires reconcile.Stats
	Pools     []Pool
	Traffic   *dataplane.Counters
	Devices   []Device
	Leases    *provision.Stats
	History   *history.Stats
	PCP       *PCP
	DHCPv6    *DHCPv6
	Announce  *announce.Stats
	Peers     []Peer // of BGP
}

// Pool is how far the softwires of one pool are.
type Pool struct {
	Name                string
	Capacity            uint64 // port sets
	Desired, Programmed int    // softwires
}

// Device is what a network device counted.
type Device struct {
	Name           string
	Received, Sent dataplane.Traffic
	Drops          []dataplane.Event
}

// PCP is what the PCP server did with requests.
type PCP struct {
	Answered map[string]uint64 // by result
	Dropped  uint64            // not answered
	Unsent   uint64            // answers that could not be sent
}

// DHCPv6 is what the DHCPv6 server did.
type DHCPv6 struct {
	Events []dataplane.Event // Packets are messages, or what the name says
	Pools  []PrefixPool
	// Granted, Extended, Released and Expired count prefixes; Owing is softwires
	// that are to be given back.
	Granted, Extended, Released, Expired uint64
	Owing                                int
}

// PrefixPool is how much of a pool of delegated prefixes is in use.
type PrefixPool struct {
	Name               string
	Size, Bound, Fresh int
}

// Peer is how far one BGP peer is.
type Peer struct {
	Name                    string
	Established             bool
	Sessions, Flaps, Starts uint64
	Announced, Withheld     int // routes
}
