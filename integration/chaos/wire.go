package main

import (
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// The names of the services, for package net/rpc.
const (
	routerService = "Router" // of the child
	planeService  = "Plane"  // of the parent
)

// settings are what a child is started with, as JSON.
type settings struct {
	Folder string
	// Ahead is how far the child's time of day is ahead of the parent's.
	Ahead time.Duration
	Pools pool.Pools
}

// wireKey is a key as the store encodes it, for package gob.
type wireKey [8]byte

func toWire(k softwire.Key) wireKey { return wireKey(store.AppendKey(nil, k)) }

func (k wireKey) key() (softwire.Key, error) { return store.ParseKey(k[:]) }

// wireSoftwire is a softwire.
type wireSoftwire struct {
	Key    wireKey
	B4, BR netip.Addr
}

func softwireToWire(s softwire.Softwire) wireSoftwire {
	return wireSoftwire{Key: toWire(s.Key()), B4: s.B4, BR: s.BR}
}

func (s wireSoftwire) softwire() (softwire.Softwire, error) {
	k, err := s.Key.key()
	return softwire.Softwire{IPv4: k.IPv4, PortSet: k.PortSet, B4: s.B4, BR: s.BR}, err
}

// wireOp and wireResult are those of package dataplane.
type wireOp struct {
	Kind     dataplane.OpKind
	Softwire wireSoftwire
}

type wireResult struct {
	Outcome dataplane.Outcome
	Why     string
}

// Nothing is an argument or a reply without content. Package net/rpc wants types
// that are exported.
type Nothing struct{}

// Batch and Results are those of an Apply, Softwires is a read back.
type (
	Batch     struct{ Ops []wireOp }
	Results   struct{ Results []wireResult }
	Softwires struct{ Softwires []wireSoftwire }
)

// Action is what is asked of a child.
type Action uint8

// The actions.
const (
	Acquire Action = iota
	Renew
	Release
	Remove
)

// String names the action.
func (a Action) String() string { return [...]string{"acquire", "renew", "release", "remove"}[a] }

// Ask is a request to a child.
type Ask struct {
	Action   Action
	B4       netip.Addr // of the subscriber
	Key      wireKey    // of Remove
	Lifetime time.Duration
	Patience time.Duration // until the context ends
}

// Answer is what became of it.
type Answer struct {
	Problem string // nothing was acknowledged
	Key     wireKey
	Expires time.Time
}

// Shown is a lease as the child has it.
type Shown struct {
	Bound      bool
	Subscriber netip.Prefix
}

// State is how the child is.
type State struct {
	Ready  bool // the data plane has been brought up to date
	Outbox int
}
