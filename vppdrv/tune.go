package vppdrv

import (
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// Tune changes how the packets are treated that VPP hands over: the rates of
// errors, ICMPv4.TooBig and ICMPv6.Relay. Everything else of c must be what it
// was: VPP got it when it was connected.
func (d *Driver) Tune(c forwarder.Config) error { return d.slow.tune(c) }

// Trace says what the softwires that VPP has make of a packet, as package
// forwarder sees it: nothing is sent or counted.
func (d *Driver) Trace(now time.Time, side dataplane.Side, packet []byte) forwarder.Trace {
	return d.slow.forwarder.Trace(now, side, packet)
}
