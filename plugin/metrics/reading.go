package metrics

import (
	"time"

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
