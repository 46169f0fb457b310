package stats

import (
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// event is what is counted by some of VPP's error counters, all together. VPP
// counts a packet that it drops under one cause, whatever else it did about it.
type event struct {
	name, meaning string
	drop          bool
	errors        []string // node/error
	interfaces    []string // names of counters of interfaces
}

func (e event) counted(packets uint64) dataplane.Event {
	return dataplane.Event{Name: e.name, Meaning: e.meaning, Drop: e.drop, Packets: packets}
}

// errorPrefix is what the names of error counters begin with.
const errorPrefix = "/err/"

// Events are what a Reading has, in its order, without packets.
func Events() []dataplane.Event {
	var all []dataplane.Event
	for _, e := range events() {
		all = append(all, e.counted(0))
	}
	return all
}

// events are what is read, in the order in which it is shown.
func events() []event {
	return append(drops(), others()...)
}

// same is an event that means what it means in the forwarder.
func same(e forwarder.Event, errors ...[]string) event {
	return own(e.Drop(), e.String(), e.Meaning(), errors...)
}

// own is an event that only VPP has.
func own(drop bool, name, meaning string, errors ...[]string) event {
	e := event{name: name, meaning: meaning, drop: drop}
	for _, some := range errors {
		e.errors = append(e.errors, some...)
	}
	return e
}

// of are errors of one node.
func of(node string, errors ...string) []string {
	all := make([]string, len(errors))
	for i, e := range errors {
		all[i] = node + "/" + e
	}
	return all
}

// inReassembly4 are errors of the nodes that reassemble IPv4 packets, those of
// pools and those in tunnel packets.
func inReassembly4(errors ...string) (all []string) {
	for _, node := range []string{
		"ip4-sv-reassembly", "ip4-sv-reassembly-feature", "ip4-sv-reassembly-custom-next", "ip4-sv-reassembly-expire-walk",
	} {
		all = append(all, of(node, errors...)...)
	}
	return all
}

// inReassembly6 are errors of the nodes that reassemble tunnel packets.
func inReassembly6(errors ...string) (all []string) {
	for _, node := range []string{"ip6-full-reassembly", "ip6-full-reassembly-feature", "ip6-full-reassembly-expire-walk"} {
		all = append(all, of(node, errors...)...)
	}
	return all
}

// inPunt is an error of the nodes that write to the punt socket. Most of them
// count in the name of others.
func inPunt(e string) (all []string) {
	for _, node := range []string{
		"ip4-udp-punt-socket", "ip6-udp-punt-socket", "ip4-proto-punt-socket", "ip6-proto-punt-socket", "exception-punt-socket",
	} {
		all = append(all, of(node, e)...)
	}
	return all
}

// inLocal are errors of a node that takes packets for VPP itself, and counts
// most of them in the name of another one.
func inLocal(node, inputNode string, errors ...string) []string {
	return append(of(node, errors...), of(inputNode, errors...)...)
}
